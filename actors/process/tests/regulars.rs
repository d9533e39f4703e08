//! Programs that call again and again, where the kernel takes no notes: the first calls are asked about, the later
//! ones are known where their packets are met; and nobody's are, once anything about the program has changed.
//! Needs root.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use seawall_messages::policy::{Fingerprint, Pattern};
use seawall_messages::process::{Attribution, Method, Owner, Owners, Question};
use seawall_messages::{Flow, Protocol};
use seawall_process::{Arguments, Counting, Finding, Ledger, Processes, Regulars, TableOwners};

#[path = "support/running.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod running;

use running::{Running, about, outbound};

/// Carries out each line, and says when it is done. `call` connects to a port of loopback, prints its own port, and
/// keeps the socket; `churn` starts threads that end at once, for ever.
const SCRIPT: &str = r"
import os, socket, sys, threading
sockets = []
def call(port, v6=False):
    made = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM)
    made.connect(('::1' if v6 else '127.0.0.1', port))
    sockets.append(made)
    print(made.getsockname()[1], flush=True)
def churn():
    while True:
        threading.Thread(target=int).start()
def become(word):
    os.execv(sys.executable, [sys.executable, '-c', sys.argv[1], sys.argv[1], word])
print('begun', flush=True)
for line in sys.stdin:
    exec(line)
    print('done', flush=True)
";

/// Python's own file: what `python3` leads to may be a script that starts others on its way.
fn interpreter() -> PathBuf {
    let ask = "import os; print(os.path.realpath('/proc/self/exe'))";
    let answer = Command::new("python3").args(["-c", ask]).output();
    let answer = answer.expect("python3 is needed for this test").stdout;
    PathBuf::from(String::from_utf8(answer).expect("a path").trim_end())
}

/// A program that does what it is told.
struct Caller {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    path: PathBuf,
}

impl Caller {
    fn start() -> Self {
        let path = interpreter();
        let mut child = Command::new(&path)
            .args(["-c", SCRIPT, SCRIPT, "first"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it ran before");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut caller = Self { child, input, output, path };
        assert_eq!(caller.line(), "begun");
        caller
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Has it do something; gives what it prints meanwhile.
    fn tell(&mut self, line: &str) -> Vec<String> {
        writeln!(self.input, "{line}").expect("it reads");
        let mut printed = Vec::new();
        loop {
            match self.line().as_str() {
                "done" => return printed,
                "" => panic!("it ended: {line}"),
                other => printed.push(other.to_owned()),
            }
        }
    }

    /// Has it connect; gives the connection.
    fn call(&mut self, service: &Service) -> Flow {
        let to = service.address();
        let v6 = if to.is_ipv6() { "True" } else { "False" };
        let printed = self.tell(&format!("call({}, {v6})", to.port()));
        let port = printed.first().and_then(|line| line.parse().ok()).expect("a port");
        outbound(Protocol::TCP, SocketAddr::new(to.ip(), port), to)
    }

    /// Has it become the same program, with another word behind it.
    fn become_another(&mut self, word: &str) {
        writeln!(self.input, "become('{word}')").expect("it reads");
        assert_eq!(self.line(), "begun");
    }

    #[track_caller]
    fn assert_owns(&self, found: &Attribution, word: &str) {
        let process = found.process.as_ref().unwrap_or_else(|| panic!("nobody's: {found:?}"));
        assert_eq!((process.key.pid, found.method), (self.child.id(), Method::OpenFiles));
        assert_eq!(*process.path, *self.path.to_string_lossy());
        assert_eq!(process.command_line.last().map(String::as_str), Some(word));
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service on loopback that accepts whatever comes.
struct Service(TcpListener);

impl Service {
    fn start(address: impl Into<IpAddr>) -> Self {
        Self(TcpListener::bind(SocketAddr::new(address.into(), 0)).expect("a port"))
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }
}

/// The component, a program that is known already, and where it calls.
struct Scene {
    running: Running,
    caller: Caller,
    service: Service,
}

impl Scene {
    fn new(address: impl Into<IpAddr>) -> Self {
        let running = Running::start(Err("this test wants no notes"));
        let mut scene = Self { running, caller: Caller::start(), service: Service::start(address) };
        scene.make_known("first");
        scene
    }

    /// Two calls that are asked about, and a third that isn't.
    #[track_caller]
    fn make_known(&mut self, word: &str) {
        for _ in 0..2 {
            let flow = self.caller.call(&self.service);
            assert_eq!(self.owner(&flow), None, "not known yet");
            self.caller.assert_owns(&self.running.identify(about(flow)), word);
        }
        self.assert_known(word);
    }

    #[track_caller]
    fn assert_known(&mut self, word: &str) -> Owner {
        let flow = self.caller.call(&self.service);
        let owner = self.owner(&flow).expect("its process is known");
        let found = self.running.identify(Question { owner: Some(owner), ..about(flow) });
        self.caller.assert_owns(&found, word);
        assert_eq!(found.process.map(|process| process.key), Some(owner.process));
        assert_eq!((owner.method, owner.cookie, owner.uid), (Method::OpenFiles, 0, uid()));
        owner
    }

    /// A call is asked about, because another called last, and this one by a descriptor by which it had no
    /// socket before: that takes a look at all of those of one of the two. The next one isn't.
    #[track_caller]
    fn is_known_after_a_question(&mut self) {
        let flow = self.caller.call(&self.service);
        assert_eq!(self.owner(&flow), None, "the other called last");
        self.caller.assert_owns(&self.running.identify(about(flow)), "first");
        self.assert_known("first");
    }

    fn owner(&self, flow: &Flow) -> Option<Owner> {
        self.running.owners.owner(flow, Some(uid()))
    }

    fn stop(self) {
        self.running.stop();
    }
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn who_calls_again_is_known_where_the_packet_is() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let mut scene = Scene::new(address);
        let first = scene.assert_known("first");
        // By other descriptors than before.
        for _ in 0..3 {
            assert_eq!(scene.assert_known("first").process, first.process);
        }
        let flow = scene.caller.call(&scene.service);
        let owner = |flow: &Flow, uid| scene.running.owners.owner(flow, uid);
        assert_eq!(owner(&flow, None), None, "the kernel didn't say whose packet it is");
        assert_eq!(owner(&flow, Some(uid() + 1)), None, "another user sent it");
        let called = Flow { direction: seawall_messages::Direction::Inbound, ..flow };
        assert_eq!(scene.owner(&called), None, "only calls are looked for");
        assert_eq!(scene.owner(&Flow { protocol: Protocol::UDP, ..flow }), None);
        scene.caller.tell("sockets.pop().close()");
        assert_eq!(scene.owner(&flow), None, "the socket is gone");
        scene.stop();
    }
}

#[test]
fn one_that_rests_or_is_gone_stands_in_nobodys_way() {
    let mut scene = Scene::new(Ipv4Addr::LOCALHOST);
    let mut other = Caller::start();
    std::mem::swap(&mut scene.caller, &mut other);
    scene.make_known("first");
    for _ in 0..2 {
        std::mem::swap(&mut scene.caller, &mut other);
        scene.is_known_after_a_question();
    }
    scene.caller.child.kill().expect("it runs");
    scene.caller.child.wait().expect("it ends");
    std::mem::swap(&mut scene.caller, &mut other);
    scene.is_known_after_a_question();
    scene.stop();
}

#[test]
fn what_it_becomes_is_another_program_and_never_taken_for_the_first() {
    let mut scene = Scene::new(Ipv4Addr::LOCALHOST);
    let first = scene.assert_known("first");
    scene.caller.tell("sockets[-1].set_inheritable(True)");
    let left = scene.caller.call(&scene.service);
    scene.caller.tell("sockets[-1].set_inheritable(True)");
    scene.caller.become_another("second");
    assert_eq!(scene.owner(&left), None, "a socket that the first program left");
    let flow = scene.caller.call(&scene.service);
    assert_eq!(scene.owner(&flow), None);
    // Whoever still holds the first program's name learns nothing of the second by it.
    scene.running.ask_for(Fingerprint { path: Some(Pattern::new("/x")), ..Default::default() });
    let found = scene.running.identify(Question { owner: Some(first), ..about(flow) });
    scene.caller.assert_owns(&found, "second");
    assert_ne!(found.process.map(|process| process.key), Some(first.process));
    let second = scene.assert_known("second");
    assert_ne!(second.process, first.process);
    scene.stop();
}

#[test]
fn a_policy_changes_nothing_about_who_it_is() {
    let mut scene = Scene::new(Ipv4Addr::LOCALHOST);
    let before = scene.assert_known("first");
    scene.running.ask_for(Fingerprint { path: Some(Pattern::new("/x")), ..Default::default() });
    assert_eq!(scene.assert_known("first").process, before.process);
    scene.stop();
}

#[test]
fn with_a_child_that_may_have_called_nobody_is_known_nor_once_it_ended() {
    let mut scene = Scene::new(Ipv4Addr::LOCALHOST);
    scene.caller.tell("end, go = os.pipe()");
    scene.caller.tell("child = os.fork() or (os.close(go), os.read(end, 1), os._exit(0))");
    let flow = scene.caller.call(&scene.service);
    assert_eq!(scene.owner(&flow), None, "a child lives");
    scene.caller.tell("os.close(go)");
    scene.caller.tell("os.waitpid(child, 0)");
    assert_eq!(scene.owner(&flow), None, "a child was");
    scene.stop();
}

#[test]
fn a_socket_that_survives_an_exec_may_be_an_earlier_programs() {
    let mut scene = Scene::new(Ipv4Addr::LOCALHOST);
    let flow = scene.caller.call(&scene.service);
    scene.caller.tell("sockets[-1].set_inheritable(True)");
    assert_eq!(scene.owner(&flow), None);
    scene.caller.tell("sockets[-1].set_inheritable(False)");
    assert!(scene.owner(&flow).is_some());
    scene.stop();
}

#[test]
fn with_other_threads_than_before_it_is_asked_about_again() {
    let mut scene = Scene::new(Ipv4Addr::LOCALHOST);
    scene.caller.tell("wait = lambda: threading.Event().wait()");
    scene.caller.tell("threading.Thread(target=wait, daemon=True).start()");
    let flow = scene.caller.call(&scene.service);
    assert_eq!(scene.owner(&flow), None);
    scene.caller.assert_owns(&scene.running.identify(about(flow)), "first");
    scene.assert_known("first");
    scene.stop();
}

#[test]
fn threads_that_come_and_go_make_nobody_of_it() {
    let mut scene = Scene::new(Ipv6Addr::LOCALHOST);
    scene.caller.tell("threading.Thread(target=churn, daemon=True).start()");
    // Fewer than may wait to be accepted.
    for _ in 0..100 {
        let flow = scene.caller.call(&scene.service);
        scene.caller.assert_owns(&scene.running.identify(about(flow)), "first");
    }
    scene.stop();
}

#[test]
fn who_is_gone_is_nobody() {
    let mut scene = Scene::new(Ipv4Addr::LOCALHOST);
    let flow = scene.caller.call(&scene.service);
    assert!(scene.owner(&flow).is_some());
    scene.caller.child.kill().expect("it runs");
    scene.caller.child.wait().expect("it ends");
    assert_eq!(scene.owner(&flow), None);
    scene.running.look();
    assert_eq!(scene.running.identify(about(flow)), Attribution::unidentified());
    scene.stop();
}
