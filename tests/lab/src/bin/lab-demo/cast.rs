//! The programs of the demo: copies of `lab-part` under names of their own, and what each has seen.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use lab::load::program;
use lab::{Family, Host, Neighbourhood, Running};

use crate::stage::{NEIGHBOUR, NEWS, SHOP, TRACKER};

/// How long a server may take to listen.
const LISTENS: Duration = Duration::from_secs(30);
/// Where servers listen: pages, and what the desktop shares with its LAN.
const PAGES: u16 = 80;
const SHARED: u16 = 8080;

/// Names of all programs, servers first.
const NAMES: [&str; 7] =
    ["web-server", "file-share", "browser", "download", "backup", "telemetry", "scanner"];

/// The files of the programs.
pub(crate) struct Cast {
    folder: PathBuf,
}

/// The programs as they run.
pub(crate) struct Playing {
    players: Vec<Player>,
}

/// One of them.
struct Player {
    /// What it is called on the screen.
    title: String,
    running: Running,
    seen: BTreeMap<String, u64>,
}

impl Cast {
    /// Makes the files.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("apps");
        let part = program("lab-part", "LAB_PART_BIN");
        std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        for name in NAMES {
            let path = folder.join(name);
            std::fs::copy(&part, &path)
                .and_then(|_| {
                    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                })
                .with_context(|| format!("copying {} to {}", part.display(), path.display()))?;
        }
        Ok(Self { folder })
    }

    /// The file of a program.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts all of them.
    pub(crate) fn enter(&self, place: &Neighbourhood) -> anyhow::Result<Playing> {
        let mut playing = Playing { players: Vec::new() };
        let any = |port: u16| format!("--on=[::]:{port}");
        for site in [SHOP, NEWS, TRACKER] {
            let site = place.site(site);
            playing.serve(self, place, &site.host, "web-server", &site.name, &any(PAGES))?;
        }
        let router = place.router();
        playing.serve(self, place, router, "web-server", "store on the LAN", &any(PAGES))?;
        let desktop = place.desktop();
        playing.serve(self, place, desktop, "file-share", "file-share", &any(SHARED))?;

        let near = Neighbourhood::router_address(Family::V4).to_string();
        let target = Neighbourhood::desktop_address(Family::V4).to_string();
        for (host, name, arguments) in [
            (desktop, "browser", vec!["browse", SHOP, NEWS]),
            (desktop, "download", vec!["download", SHOP]),
            (desktop, "backup", vec!["back-up", &near, SHOP]),
            (desktop, "telemetry", vec!["call-home", TRACKER]),
            (place.neighbour(NEIGHBOUR), "scanner", vec!["pester", &target]),
        ] {
            playing.start(self, place, host, name, name, &arguments);
        }
        Ok(playing)
    }
}

impl Playing {
    fn start(
        &mut self,
        cast: &Cast,
        place: &Neighbourhood,
        host: &Host,
        name: &str,
        title: &str,
        arguments: &[&str],
    ) {
        let running = place.start(host, &cast.path(name).to_string_lossy(), arguments);
        let title = if host.name() == NEIGHBOUR {
            format!("{title} of the neighbour")
        } else {
            title.to_owned()
        };
        self.players.push(Player { title, running, seen: BTreeMap::new() });
    }

    fn serve(
        &mut self,
        cast: &Cast,
        place: &Neighbourhood,
        host: &Host,
        name: &str,
        title: &str,
        on: &str,
    ) -> anyhow::Result<()> {
        self.start(cast, place, host, name, title, &["serve", on]);
        let server = self.players.last().context("a server was just started")?;
        let ready = server.running.line_where(LISTENS, |line| line == "ready");
        ready.with_context(|| format!("{title} doesn't listen: {}", server.running.stderr()))?;
        Ok(())
    }

    /// What each program has seen so far, as lines.
    pub(crate) fn accounts(&mut self) -> Vec<String> {
        self.listen();
        let account = |player: &Player| {
            let seen: Vec<_> =
                player.seen.iter().map(|(what, times)| format!("{what} {times}×")).collect();
            let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join(", ") };
            format!("{:<26}{seen}", player.title)
        };
        self.players.iter().map(account).collect()
    }

    /// Takes what the programs said.
    pub(crate) fn listen(&mut self) {
        for player in &mut self.players {
            while let Some(line) = player.running.line(Duration::ZERO) {
                *player.seen.entry(line).or_default() += 1;
            }
        }
    }
}
