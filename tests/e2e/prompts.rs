//! The user is asked about connections, which wait while all others go on.

#[path = "prompts/answers.rs"]
mod answers;
#[path = "prompts/survival.rs"]
mod survival;
#[path = "prompts/torture.rs"]
mod torture;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::oneshot::Done;
use lab::{Answer, Deed, Family, Running, Seawall, World, until};
use seawall_messages::prompt::{Prompt, Prompts};

/// Programs of this name are asked about, all others pass.
const ASKED: &str = "[[app]]\nmatch = { path = \"*/asked-*\" }\ndefault_action = \"ask\"\n";
/// How long something may take that nobody waits for.
const SOON: Duration = Duration::from_secs(20);
/// Something that waits is not done within this.
const A_WHILE: Duration = Duration::from_millis(400);
const PORT: u16 = 7501;
const OTHER_PORT: u16 = 7502;

/// A program that connects, and waits until it is.
struct Attempt(Running);

impl Attempt {
    fn start(world: &World, program: &Path, to: SocketAddr) -> Self {
        Self::by(world, program, Deed::Connect, to)
    }

    fn by(world: &World, program: &Path, deed: Deed, to: SocketAddr) -> Self {
        let mut command = world.desk.command(&program.to_string_lossy());
        Self(Running::start(command.args(["hold", deed.as_str(), &to.to_string()])))
    }

    fn from(world: &World, program: &Path, deed: Deed, to: SocketAddr, from_port: u16) -> Self {
        let mut command = world.desk.command(&program.to_string_lossy());
        command.args(["hold", deed.as_str(), &to.to_string(), &from_port.to_string()]);
        Self(Running::start(&mut command))
    }

    /// What became of it; `None`: it waits.
    fn outcome(&self, within: Duration) -> Option<String> {
        let line = self.0.line(within)?;
        Some(line.parse::<Done>().unwrap_or_else(|error| panic!("{error}")).outcome)
    }

    #[track_caller]
    fn connects(&self, what: &str) {
        assert_eq!(self.outcome(SOON).as_deref(), Some("ok"), "{what}");
    }

    #[track_caller]
    fn is_refused(&self, what: &str) {
        let outcome = self.outcome(SOON);
        assert!(outcome.as_ref().is_some_and(|text| text != "ok"), "{what}: {outcome:?}");
    }

    #[track_caller]
    fn waits(&self, what: &str) {
        assert_eq!(self.outcome(A_WHILE), None, "{what}");
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(World::address(World::PEER, Family::V4), port)
}

fn prompts(seawall: &Seawall<'_>) -> Prompts {
    let answer = seawall.verb(&["prompts", "--json"]);
    serde_json::from_str(&answer.stdout)
        .unwrap_or_else(|error| panic!("prompts: {error}: {}{}", answer.stdout, answer.stderr))
}

/// The prompt about a program, once connections of it wait.
#[track_caller]
fn prompt_of(seawall: &Seawall<'_>, program: &Path) -> Prompt {
    let path = program.to_string_lossy();
    let found = until(SOON, || {
        let of_it = |prompt: &Prompt| *prompt.asker.path == *path && prompt.waiting > 0;
        prompts(seawall).prompts.into_iter().find(of_it)
    });
    found.unwrap_or_else(|| panic!("nobody is asked about {path}: {:#?}", prompts(seawall)))
}

/// Answers a prompt: `&["allow", "--for", "10m"]`.
#[track_caller]
fn answer(seawall: &Seawall<'_>, prompt: &Prompt, words: &[&str]) -> Answer {
    let id = prompt.id.0.to_string();
    let answer = seawall.verb(&[&["prompts", "answer", &id], words].concat());
    assert_eq!(answer.code, Some(0), "{words:?}: {}{}", answer.stdout, answer.stderr);
    answer
}

/// Copies of a program, by links: each is an app of its own.
fn programs(folder: &lab::Programs, count: usize) -> Vec<PathBuf> {
    let first = folder.copy("asked-000");
    let linked = |number: usize| {
        let path = folder.folder().join(format!("asked-{number:03}"));
        if number > 0 {
            std::fs::hard_link(&first, &path).unwrap_or_else(|error| panic!("no link: {error}"));
        }
        path
    };
    (0..count).map(linked).collect()
}
