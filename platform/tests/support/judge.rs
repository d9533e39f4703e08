//! A reader of our queues that gives every packet the same kind of answer.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nfq::{Queue, Verdict};
use seawall_messages::keeper::Layout;
use seawall_platform::linux::layout::{Epoch, MarkAction, QueueId, QueueKind, verdict_mark};

use super::host::Host;

/// How packets with a connection-tracking entry are judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judgement {
    pub(crate) action: MarkAction,
    pub(crate) standing: Option<Epoch>,
}

/// A packet as it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) queue: QueueId,
    pub(crate) mark: u32,
}

/// Reads all queues in a thread until dropped.
pub(crate) struct Judge {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    judgement: Mutex<Judgement>,
    seen: Mutex<Vec<Seen>>,
    stop: AtomicBool,
}

impl Judge {
    /// Binds the queues there and starts judging.
    pub(crate) fn start(host: &Host, layout: Layout, judgement: Judgement) -> Self {
        let shared = Arc::new(Shared {
            judgement: Mutex::new(judgement),
            seen: Mutex::new(Vec::new()),
            stop: AtomicBool::new(false),
        });
        let queue = host.on(|| {
            let mut queue = Queue::open().expect("a queue socket: this test needs CAP_NET_ADMIN");
            for id in QueueId::all() {
                queue.bind(id.number(&layout)).expect("to bind a queue");
            }
            queue.set_nonblocking(true);
            queue
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || read(queue, &layout, &shared)
        });
        Self { shared, thread: Some(thread) }
    }

    /// Judges otherwise from now on.
    pub(crate) fn set(&self, judgement: Judgement) {
        *self.shared.judgement.lock().expect("the judgement") = judgement;
    }

    /// Packets seen since the last call, by kind of queue.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().expect("the list"))
    }

    /// Packets seen since the last call, by kind of queue.
    pub(crate) fn counts(&self) -> BTreeMap<QueueKind, usize> {
        let mut counts = BTreeMap::new();
        for seen in self.seen() {
            *counts.entry(seen.queue.kind).or_default() += 1;
        }
        counts
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let outcome = thread.join();
            assert!(outcome.is_ok() || std::thread::panicking(), "the judge panicked");
        }
    }
}

fn read(mut queue: Queue, layout: &Layout, shared: &Shared) {
    while !shared.stop.load(Ordering::Relaxed) {
        let mut message = match queue.recv() {
            Ok(message) => message,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_micros(200));
                continue;
            }
            Err(error) => panic!("the queue can't be read: {error}"),
        };
        let id = QueueId::from_number(message.get_queue_num(), layout).expect("a queue of ours");
        let mark = message.get_nfmark();
        shared.seen.lock().expect("the list").push(Seen { queue: id, mark });
        let judgement = *shared.judgement.lock().expect("the judgement");
        if id.kind == QueueKind::Untracked {
            message.set_verdict(Verdict::Accept);
        } else {
            message.set_nfmark(verdict_mark(layout, mark, judgement.action, judgement.standing));
            message.set_verdict(Verdict::Repeat);
        }
        queue.verdict(message).expect("to answer a packet");
    }
    // Closing is not enough: the socket may live on in a child that was just forked.
    for id in QueueId::all() {
        queue.unbind(id.number(layout)).expect("to unbind a queue");
    }
}
