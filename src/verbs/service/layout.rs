//! What `seawall service` installs, and where.

use std::path::{Path, PathBuf};

/// Where the program lies, and what the units call in the package.
const PROGRAM: &str = "/usr/local/bin/seawall";
const PROGRAM_OF_PACKAGE: &str = "/usr/bin/seawall";

/// The folder of a running Seawall's sockets.
pub(super) const RUN_DIR: &str = "/run/seawall";

/// Where a package has its unit: two names for one place, on most machines.
const UNITS_OF_PACKAGE: [&str; 2] =
    ["/usr/lib/systemd/system/seawall.service", "/lib/systemd/system/seawall.service"];

/// The group that may use the API.
const SYSUSERS: &str = "/etc/sysusers.d/seawall.conf";

/// The units of the package, with their places here.
const UNITS: [(&str, &str); 2] = [
    (
        "/etc/systemd/system/seawall.service",
        include_str!("../../../packaging/systemd/seawall.service"),
    ),
    (
        "/etc/systemd/system/seawall-early.service",
        include_str!("../../../packaging/systemd/seawall-early.service"),
    ),
];

/// A file with its text.
pub(super) struct TextFile {
    /// Where it goes.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) text: String,
}

/// The places below one root.
pub(super) struct Layout<'a> {
    root: &'a Path,
}

impl<'a> Layout<'a> {
    /// Below that root.
    pub(super) fn below(root: &'a Path) -> Self {
        Self { root }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The program.
    pub(super) fn program(&self) -> PathBuf {
        self.at(PROGRAM)
    }

    /// The policy.
    pub(super) fn config(&self) -> PathBuf {
        self.config_dir().join("seawall.toml")
    }

    /// The folder of the policy.
    pub(super) fn config_dir(&self) -> PathBuf {
        self.at("/etc/seawall")
    }

    /// What outlives a restart.
    pub(super) fn state_dir(&self) -> PathBuf {
        self.at("/var/lib/seawall")
    }

    /// What makes the group.
    pub(super) fn sysusers(&self) -> PathBuf {
        self.at(SYSUSERS)
    }

    /// Every text file that is installed.
    pub(super) fn files(&self) -> Vec<TextFile> {
        let units = UNITS.map(|(path, text)| TextFile {
            path: self.at(path),
            text: text.replace(PROGRAM_OF_PACKAGE, PROGRAM),
        });
        let group = TextFile {
            path: self.sysusers(),
            text: include_str!("../../../packaging/systemd/seawall.sysusers").to_owned(),
        };
        units.into_iter().chain([group]).collect()
    }

    /// The unit of a package, if one is installed.
    pub(super) fn unit_of_package(&self) -> Option<PathBuf> {
        UNITS_OF_PACKAGE.into_iter().map(|path| self.at(path)).find(|path| path.exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_call_the_program_that_is_installed() {
        let files = Layout::below(Path::new("/image")).files();
        assert_eq!(files.len(), 3);
        assert!(files.iter().all(|file| file.path.starts_with("/image/etc")));
        let calls: Vec<_> = files
            .iter()
            .flat_map(|file| file.text.lines())
            .filter(|line| line.starts_with("ExecStart="))
            .collect();
        assert_eq!(
            calls,
            [
                "ExecStart=/usr/local/bin/seawall run",
                "ExecStart=/usr/local/bin/seawall early-rules"
            ]
        );
    }
}
