//! The programs of systemd that install and remove a service.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::output;

/// Both, in the order in which they start.
const UNITS: [&str; 2] = ["seawall-early.service", "seawall.service"];

/// There while systemd runs this machine (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// Where systemd's own program is in an image.
const IN_IMAGE: [&str; 2] = ["usr/lib/systemd/systemd", "lib/systemd/systemd"];

/// The systemd of this machine, or of an image.
pub(super) enum Systemd {
    /// It runs this machine.
    Live,
    /// It is in the image below this root, and does not run.
    Image(PathBuf),
}

impl Systemd {
    /// Of that root. An error says what there is to do without.
    pub(super) fn of(root: &Path) -> Result<Self, String> {
        if root == Path::new("/") {
            if Path::new(BOOTED).is_dir() {
                return Ok(Self::Live);
            }
            return Err("systemd does not run this machine; let what does start `seawall run`, \
                        or name the root of an image with --root DIR"
                .to_owned());
        }
        if IN_IMAGE.iter().any(|program| root.join(program).exists()) {
            return Ok(Self::Image(root.to_owned()));
        }
        Err(format!("there is no systemd in {}", root.display()))
    }

    /// Whether it runs.
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }

    /// Makes the group, as this file says.
    pub(super) fn make_group(&self, sysusers: &Path) -> Result<(), String> {
        match self {
            Self::Live => run("systemd-sysusers", &[&sysusers.to_string_lossy()]),
            // It is made at the image's first boot from the same file.
            Self::Image(_) => Ok(()),
        }
    }

    /// Has both start at boot.
    pub(super) fn enable(&self) -> Result<(), String> {
        self.reload()?;
        self.control(&["enable"], &UNITS)
    }

    /// Starts both, or nothing where they run.
    pub(super) fn start(&self) -> Result<(), String> {
        self.control(&["start"], &UNITS)
    }

    /// Stops both and has them start at boot no longer. Units that are not
    /// there are left alone.
    pub(super) fn disable(&self) -> Result<(), String> {
        let known: Vec<_> = UNITS.into_iter().filter(|unit| self.knows(unit)).collect();
        match self {
            _ if known.is_empty() => Ok(()),
            Self::Live => self.control(&["disable", "--now"], &known),
            Self::Image(_) => self.control(&["disable"], &known),
        }
    }

    /// Has it read the units again.
    pub(super) fn reload(&self) -> Result<(), String> {
        match self {
            Self::Live => self.control(&["daemon-reload"], &[]),
            Self::Image(_) => Ok(()),
        }
    }

    /// Whether it starts at boot.
    pub(super) fn is_enabled(&self) -> bool {
        self.asks(&["is-enabled", "--quiet"])
    }

    /// Whether it runs now.
    pub(super) fn is_active(&self) -> bool {
        self.asks(&["is-active", "--quiet"])
    }

    fn knows(&self, unit: &str) -> bool {
        let root = match self {
            Self::Live => Path::new("/"),
            Self::Image(root) => root,
        };
        root.join("etc/systemd/system").join(unit).exists()
    }

    fn control(&self, verb: &[&str], units: &[&str]) -> Result<(), String> {
        let root = self.root();
        let words: Vec<_> =
            root.iter().map(String::as_str).chain(verb.iter().chain(units).copied()).collect();
        run("systemctl", &words)
    }

    fn asks(&self, verb: &[&str]) -> bool {
        let mut command = Command::new("systemctl");
        command.args(self.root()).args(verb).arg("seawall.service");
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    fn root(&self) -> Option<String> {
        match self {
            Self::Live => None,
            Self::Image(root) => Some(format!("--root={}", root.display())),
        }
    }
}

/// Runs a program, which says itself what goes wrong.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let line = [&[program], arguments].concat().join(" ");
    output::line(format_args!("+ {line}"));
    match Command::new(program).args(arguments).stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed: {status}")),
        Err(error) => Err(format!("can't run `{line}`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_systemd_it_is_said() {
        let folder = std::env::temp_dir().join(format!("seawall-root-{}", std::process::id()));
        let program = folder.join("usr/lib/systemd/systemd");
        std::fs::create_dir_all(program.parent().expect("it has one")).expect("a folder");
        let refused = Systemd::of(&folder);
        assert!(refused.is_err_and(|problem| problem.contains("no systemd")));
        std::fs::write(&program, "").expect("written");
        assert!(Systemd::of(&folder).is_ok_and(|systemd| !systemd.is_live()));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
