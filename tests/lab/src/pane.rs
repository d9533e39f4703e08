//! A program on a terminal: a pane of a tmux server of its own.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::check::until;
use crate::process::{Finished, print_for_failure, run, run_ok};
use crate::world::Host;

/// How long a screen may take to become what is expected, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal with a program on it. The server ends when dropped.
#[derive(Debug)]
pub struct Pane {
    folder: TempDir,
}

impl Pane {
    /// Runs a program on a host, on a terminal of that many columns and lines. When it
    /// ends, a shell says `ended`, its exit code, and how the terminal takes input then:
    /// `icanon` where it was given back as it was.
    ///
    /// # Panics
    /// When there is no tmux, or it refuses.
    pub fn start(host: &Host, command: &str, (columns, lines): (u16, u16)) -> Self {
        let folder = TempDir::with_prefix("seawall-pane-")
            .unwrap_or_else(|error| panic!("can't make a temporary folder: {error}"));
        let pane = Self { folder };
        let configuration = pane.folder.path().join("tmux.conf");
        let settings =
            "set -g default-terminal screen-256color\nset -g status off\nset -s escape-time 0\n";
        std::fs::write(&configuration, settings)
            .unwrap_or_else(|error| panic!("can't write {}: {error}", configuration.display()));
        let mut server = host.command("tmux");
        server.arg("-u").arg("-S").arg(pane.socket()).arg("-f").arg(&configuration);
        server.args(["new-session", "-d", "-x", &columns.to_string(), "-y", &lines.to_string()]);
        let after =
            "; echo \"ended $? $(stty -a | grep -ow -e -icanon -e icanon)\"; exec sleep 3600";
        run_ok(server.arg(format!("{command}{after}")).env("LC_ALL", "C.UTF-8").env_remove("TMUX"));
        pane
    }

    /// What is to be seen, without blanks at the ends of lines.
    pub fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).stdout
    }

    /// Types a text, or keys by tmux's names: `Enter`, `Escape`, `Tab`, `Down`, `C-c`.
    #[track_caller]
    pub fn keys(&self, keys: &[&str]) {
        let sent = self.tmux(&[&["send-keys"], keys].concat());
        assert!(sent.ok(), "tmux takes no keys: {}", sent.stderr);
    }

    /// Gives the terminal another size.
    #[track_caller]
    pub fn resize(&self, columns: u16, lines: u16) {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let resized = self.tmux(&["resize-window", "-x", &columns, "-y", &lines]);
        assert!(resized.ok(), "tmux doesn't resize: {}", resized.stderr);
    }

    /// Waits until the screen is as expected, and gives it.
    #[track_caller]
    pub fn shows(&self, what: &str, expected: impl Fn(&str) -> bool) -> String {
        let shown = until(PATIENCE, || Some(self.text()).filter(|text| expected(text)));
        shown.unwrap_or_else(|| panic!("{what}: never to be seen on\n{}", self.text()))
    }

    /// Waits until all of these are to be seen.
    #[track_caller]
    pub fn shows_all(&self, words: &[&str]) -> String {
        self.shows(&words.join(", "), |text| words.iter().all(|word| text.contains(word)))
    }

    /// Process id of what the shell on it runs.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let shell = self.state("pane_pid");
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let child = children.unwrap_or_default().split_whitespace().next().map(str::parse);
        let Some(Ok(child)) = child else { panic!("the shell {shell} runs nothing") };
        child
    }

    /// A setting of the terminal as tmux sees it, such as `alternate_on` or `cursor_flag`.
    pub fn state(&self, name: &str) -> String {
        let said = self.tmux(&["display-message", "-p", &format!("#{{{name}}}")]).stdout;
        said.trim().to_owned()
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("tmux.sock")
    }

    fn tmux(&self, arguments: &[&str]) -> Finished {
        run(Command::new("tmux").arg("-S").arg(self.socket()).args(arguments).env_remove("TMUX"))
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_for_failure(&format!("--- the terminal:\n{}", self.text()));
        }
        self.tmux(&["kill-server"]);
    }
}
