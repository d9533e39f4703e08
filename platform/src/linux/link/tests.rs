//! The link against itself, against a peer that dies and one that misbehaves.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::*;

const SOON: Duration = Duration::from_secs(5);

fn deposit(name: &str) -> ToKeeper {
    ToKeeper::Deposit { name: name.into() }
}

#[test]
fn frames_arrive_whole_and_in_order() {
    let (keeper, worker) = Link::pair().unwrap();
    let sent = [ToKeeper::Hello { version: 1 }, ToKeeper::Heartbeat, deposit("listener/api")];
    for frame in &sent {
        worker.send_to_keeper(frame, None).unwrap();
    }
    for frame in sent {
        assert_eq!(keeper.receive_from_worker(SOON).unwrap().0, frame);
    }
    keeper.send_to_worker(&ToWorker::Stop, None).unwrap();
    assert_eq!(worker.receive_from_keeper(SOON).unwrap().0, ToWorker::Stop);
}

#[test]
fn a_descriptor_arrives_usable_and_closed_on_exec() {
    let (keeper, worker) = Link::pair().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    worker.send_to_keeper(&deposit("stream"), Some(theirs.as_fd())).unwrap();
    drop(theirs);
    let (_, descriptor) = keeper.receive_from_worker(SOON).unwrap();
    let descriptor = descriptor.expect("a descriptor beside the frame");
    let flags = rustix::io::fcntl_getfd(&descriptor).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    rustix::io::write(&descriptor, b"through").unwrap();
    drop(descriptor);
    let mut text = String::new();
    (&ours).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn descriptors_beyond_the_first_are_closed() {
    let (keeper, worker) = Link::pair().unwrap();
    let pairs: Vec<_> = (0..6).map(|_| UnixStream::pair().unwrap()).collect();
    let sent: Vec<_> = pairs.iter().map(|(_, theirs)| theirs.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&sent)));
    let frame = postcard::to_stdvec(&deposit("many")).unwrap();
    rustix::net::sendmsg(&worker, &[IoSlice::new(&frame)], &mut control, SendFlags::empty())
        .unwrap();

    let (_, first) = keeper.receive_from_worker(SOON).unwrap();
    let ours: Vec<_> = pairs.into_iter().map(|(ours, _theirs)| ours).collect();
    let first = first.expect("the first descriptor");
    rustix::io::write(&first, b"x").unwrap();
    let mut byte = [0];
    (&ours[0]).read_exact(&mut byte).unwrap();
    for (index, stream) in ours.iter().enumerate().skip(1) {
        stream.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!((&*stream).read(&mut byte).unwrap(), 0, "descriptor {index} is still open");
    }
}

#[test]
fn a_time_limit_holds_and_zero_never_waits() {
    let (keeper, _worker) = Link::pair().unwrap();
    for limit in [Duration::ZERO, Duration::from_millis(30)] {
        let start = Instant::now();
        let outcome = keeper.receive_from_worker(limit);
        assert!(matches!(outcome, Err(LinkError::TimedOut)), "{outcome:?}");
        assert!(start.elapsed() >= limit);
        assert!(start.elapsed() < SOON);
    }
}

#[test]
fn what_a_dead_peer_sent_is_read_before_its_end_is_told() {
    let (keeper, worker) = Link::pair().unwrap();
    keeper.send_to_worker(&ToWorker::Stop, None).unwrap();
    worker.send_to_keeper(&ToKeeper::Ready, None).unwrap();
    drop(worker);
    assert_eq!(keeper.receive_from_worker(SOON).unwrap().0, ToKeeper::Ready);
    assert!(matches!(keeper.receive_from_worker(SOON), Err(LinkError::Closed)));
    assert!(matches!(keeper.send_to_worker(&ToWorker::Stop, None), Err(LinkError::Closed)));
}

#[test]
fn a_frame_that_is_too_long_is_refused_by_the_sender() {
    let (_keeper, worker) = Link::pair().unwrap();
    let outcome = worker.send_to_keeper(&deposit(&"n".repeat(MAX_FRAME_BYTES)), None);
    assert!(matches!(outcome, Err(LinkError::System { .. })), "{outcome:?}");
}

#[test]
fn garbage_and_oversized_packets_are_garbled() {
    for packet in [vec![0xff; 40], vec![0; MAX_FRAME_BYTES + 1]] {
        let (keeper, worker) = Link::pair().unwrap();
        rustix::net::send(&worker, &packet, SendFlags::empty()).unwrap();
        assert!(matches!(keeper.receive_from_worker(SOON), Err(LinkError::Garbled)));
    }
}

#[test]
fn a_peer_that_never_reads_does_not_block_the_sender_for_ever() {
    let (keeper, _worker) = Link::pair().unwrap();
    let full = (0..100_000).find_map(|_| keeper.send_to_worker(&ToWorker::Stop, None).err());
    assert!(matches!(full, Some(LinkError::TimedOut)), "{full:?}");
}

#[test]
fn the_lock_is_exclusive_and_gone_with_its_holder() {
    // A namespace of its own, so that nothing else on the machine holds the name.
    std::thread::spawn(|| {
        enter_new_namespace();
        let held = NamespaceLock::take().unwrap().expect("the first taker gets the lock");
        assert!(NamespaceLock::take().unwrap().is_none());
        std::thread::spawn(|| {
            enter_new_namespace();
            assert!(NamespaceLock::take().unwrap().is_some(), "another namespace, another lock");
        })
        .join()
        .unwrap();
        assert!(held.fd.as_raw_fd() >= 0);
        drop(held);
        let released = Instant::now();
        // A child that another test starts has it open too, until its exec.
        while NamespaceLock::take().unwrap().is_none() {
            assert!(released.elapsed() < SOON, "it is held by nobody");
            std::thread::yield_now();
        }
    })
    .join()
    .unwrap();
}

#[allow(unsafe_code, reason = "unshare is unsafe: it may take descriptors apart; NEWNET does not")]
fn enter_new_namespace() {
    // SAFETY: only the network namespace of this thread changes.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
        .expect("a network namespace: the test needs CAP_SYS_ADMIN");
}
