//! A pretended machine: a network namespace that is gone with this value.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Output};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// A network namespace with loopback up.
pub(crate) struct Host {
    namespace: File,
}

impl Host {
    /// Makes one. Needs CAP_SYS_ADMIN; without it the test fails.
    pub(crate) fn new() -> Self {
        let namespace = std::thread::spawn(|| {
            unshare();
            File::open("/proc/thread-self/ns/net").expect("the thread's network namespace")
        });
        let host = Self { namespace: namespace.join().expect("a thread in a new namespace") };
        host.run("ip link set lo up");
        host
    }

    /// Two of them, joined by a cable: 10.9.0.1 and fd09::1 here, 10.9.0.2 and fd09::2 there.
    pub(crate) fn pair() -> (Self, Self) {
        let (one, other) = (Self::new(), Self::new());
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.namespace.as_raw_fd());
        one.run(&format!("ip link add cable type veth peer name cable netns {there}"));
        for (host, number) in [(&one, 1), (&other, 2)] {
            host.run(&format!("ip addr add 10.9.0.{number}/24 dev cable"));
            host.run(&format!("ip -6 addr add fd09::{number}/64 dev cable nodad"));
            host.run("ip link set cable up");
        }
        (one, other)
    }

    /// Does something there, in a thread of its own.
    pub(crate) fn on<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter();
                    work()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread there, for good.
    pub(crate) fn enter(&self) {
        move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("to enter a network namespace");
    }

    /// Runs a program there, which must succeed, and returns what it printed.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.try_run(line);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {complaint}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a program there, whatever comes of it.
    pub(crate) fn try_run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a program");
        self.on(|| {
            let output = Command::new(program).args(words).output();
            output.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"))
        })
    }
}

#[allow(
    unsafe_code,
    reason = "unshare may take descriptors apart; a new network namespace does not"
)]
fn unshare() {
    // SAFETY: only the network namespace of this thread changes.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .expect("a network namespace: this test needs CAP_SYS_ADMIN");
}
