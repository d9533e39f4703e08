//! A monitor beside a Seawall, programs with connections, and screens without what varies.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use lab::pane::Pane;
use lab::world::needs;
use lab::{Family, Running, Seawall, World};

/// How soon something has to show on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A service of the peer's.
pub(crate) fn peer(port: u16) -> SocketAddr {
    SocketAddr::new(World::address(World::PEER, Family::V4), port)
}

/// The monitor of a Seawall, on a terminal on the same host.
pub(crate) fn monitor(seawall: &Seawall<'_>, size: (u16, u16)) -> Pane {
    needs("tmux");
    let binary = lab::seawall::binary();
    let run_dir = seawall.run_dir();
    let command = format!("'{}' monitor --run-dir '{}'", binary.display(), run_dir.display());
    Pane::start(seawall.host(), &command, size)
}

/// The program ended well; the terminal is as it was.
#[track_caller]
pub(crate) fn is_given_back(pane: &Pane) {
    pane.shows_all(&["ended 0 icanon"]);
    assert_eq!((pane.state("alternate_on"), pane.state("cursor_flag")), ("0".into(), "1".into()));
}

/// A program with a connection that it holds until somebody cuts it; then it ends.
pub(crate) struct Caller {
    /// The program.
    pub(crate) program: Running,
    _called: TcpStream,
    _listener: TcpListener,
}

impl Caller {
    /// A shell that connects to a service of the peer's.
    pub(crate) fn start(world: &World, port: u16) -> Self {
        let to = peer(port);
        let listener = world.peer.listen(to);
        let script = format!("exec 3<>/dev/tcp/{}/{port}; read -u 3", to.ip());
        let program = world.desk.start("bash", &["-c", &script]);
        let (called, _) = listener.accept().expect("it connects");
        Self { program, _called: called, _listener: listener }
    }

    /// Whether it noticed the end of its connection within the time.
    pub(crate) fn is_cut(&mut self, within: Duration) -> bool {
        self.program.wait(within).is_some()
    }
}

/// A screen without what varies: numbers, amounts, ages, moments, graphs, blanks between words.
pub(crate) fn steady(screen: &str) -> String {
    let mut text = String::new();
    for line in screen.lines() {
        let words = line.split_whitespace().filter(|word| !is_unit(word));
        let words: Vec<&str> = words.filter_map(steady_word).collect();
        text.push_str(&words.join(" "));
        text.push('\n');
    }
    text
}

fn is_unit(word: &str) -> bool {
    let word = word.strip_suffix("/s").unwrap_or(word);
    ["B", "kB", "MB", "GB"].contains(&word)
}

/// `None` for a graph.
fn steady_word(word: &str) -> Option<&str> {
    let is_bar = |c: char| ('▁'..='█').contains(&c);
    let is_number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_age = word
        .strip_suffix(['s', 'm', 'h', 'd'])
        .is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()));
    let is_moment = word.len() == "2026-01-31T12:00:00Z".len()
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with('Z');
    match word {
        _ if word.chars().all(is_bar) => None,
        "-" => Some("N"),
        _ if is_number || is_age || is_moment => Some("N"),
        _ => Some(word),
    }
}

/// Compares a screen with the one that is kept, but for what varies.
#[track_caller]
pub(crate) fn is_as_kept(name: &str, screen: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/monitor/screens");
    let path = folder.join(format!("{name}.txt"));
    let steady = steady(screen);
    if std::env::var_os("RENEW_SCREENS").is_some() {
        std::fs::write(&path, &steady).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        steady == kept,
        "{}:\n{kept}--- to be seen:\n{steady}--- as it was:\n{screen}",
        path.display()
    );
}

#[test]
fn what_varies_is_taken_out_and_nothing_else() {
    let screen = "  curl    2   0  2.0 kB  1.2 MB/s ▁▂█ \n> allow 10.0.0.5:443  TCP out  -   12s\nat 2026-11-26T17:00:00Z\n";
    assert_eq!(steady(screen), "curl N N N N\n> allow 10.0.0.5:443 TCP out N N\nat N\n");
}
