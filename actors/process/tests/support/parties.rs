//! Whom a test has on the network: programs, services and sockets; and what the kernel notes of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use seawall_messages::policy::{Fingerprint, Pattern};
use seawall_messages::process::{Attribution, Method, Owners, Question};
use seawall_messages::{Flow, Protocol};
use seawall_platform::linux::ebpf::{self, CountIn, Notes};

use super::running::{Running, about, outbound};

/// What the kernel notes in this thread's network namespace, as long as this value lives.
pub(crate) struct Noting {
    notes: Arc<Notes>,
    _kept: BTreeMap<String, OwnedFd>,
}

impl Noting {
    pub(crate) fn begin() -> Self {
        let (notes, kept) =
            ebpf::load(CountIn::Programs).expect("the programs load: this test needs root");
        for hook in notes.hooks() {
            assert_eq!(hook.missing, None, "{}", hook.name);
        }
        Self { notes: Arc::new(notes), _kept: kept }
    }

    pub(crate) fn run(&self) -> Running {
        Running::start(Ok(&self.notes))
    }

    /// A question as `verdict` asks it: with what the kernel noted.
    pub(crate) fn asked(&self, flow: Flow) -> Question {
        let owner = self.notes.owner(&flow, None);
        assert!(owner.is_some(), "{flow}");
        Question { owner, ..about(flow) }
    }
}

/// Held while a program is started: until it has closed what it was born with, the sockets of
/// this process are its own, too, and none that is dropped here closes.
static STARTING: Mutex<()> = Mutex::new(());

/// Another program, which tells its ports and stays until its input ends.
pub(crate) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    /// Ports that it told.
    pub(crate) ports: Vec<u16>,
    path: PathBuf,
    script: &'static str,
}

impl Program {
    /// Runs a script that prints ports on one line.
    pub(crate) fn start(script: &'static str, arguments: &[u16]) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", script]).args(arguments.iter().map(u16::to_string));
        let _starting = STARTING.lock().expect("no test panicked with it");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"));
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let port = |word: &str| word.parse().expect("a port");
        let ports = line.split_whitespace().map(port).collect();
        // What `python3` leads to, by whichever ways.
        let path = fs::read_link(format!("/proc/{}/exe", child.id())).expect("it runs");
        Self { input: child.stdin.take(), child, ports, path, script }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is gone.
    pub(crate) fn end(&mut self) {
        drop(self.input.take());
        assert!(self.child.wait().expect("it was started here").success());
    }

    #[track_caller]
    pub(crate) fn assert_owns(&self, found: &Attribution, method: Method) {
        let process = found.process.as_ref().unwrap_or_else(|| panic!("nobody's: {found:?}"));
        assert_eq!((process.key.pid, found.method), (self.id(), method));
        assert_eq!(*process.path, *self.path.to_string_lossy());
        // The kernel notes the beginning of it.
        let is_script = |word: &String| !word.is_empty() && self.script.starts_with(word.as_str());
        assert!(process.command_line.iter().any(is_script), "{process:?}");
        assert_eq!(process.parent_pid, std::process::id());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port)
}

pub(crate) fn udp(from: SocketAddr, to: SocketAddr) -> Flow {
    outbound(Protocol::UDP, from, to)
}

/// A service on loopback, and its address.
pub(crate) fn service() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(local(0)).expect("a port");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

/// A datagram from a socket that is connected; and the flow.
pub(crate) fn connected(service: SocketAddr) -> (UdpSocket, Flow) {
    let socket = UdpSocket::bind(local(0)).expect("a port");
    socket.connect(service).expect("connected");
    socket.send(b"x").expect("sent");
    let flow = udp(socket.local_addr().expect("bound"), service);
    (socket, flow)
}

/// Closes a socket that no program being started has, too.
pub(crate) fn close(socket: UdpSocket) {
    let _none_starts = STARTING.lock().expect("no test panicked with it");
    drop(socket);
}

pub(crate) fn any_app() -> Fingerprint {
    Fingerprint { path: Some(Pattern::new("*")), ..Fingerprint::default() }
}
