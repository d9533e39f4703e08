//! The driver: starts program after program, some at once, and tells of each when all are gone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use lab::oneshot::{Deed, Programs, Shot, Way};
use seawall_messages::flow::Protocol;

use crate::forker::{Forker, adopt_orphans};
use crate::{output, ways};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to; several are taken in turn.
    #[arg(long, required = true)]
    to: Vec<SocketAddr>,
    /// Where the programs are.
    #[arg(long)]
    folder: PathBuf,
    /// Flows wanted that one program each had to itself.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    count: u32,
    /// Programs alive at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// What they do; several are taken in turn.
    #[arg(long, required = true)]
    deed: Vec<Deed>,
    /// How they come to be; several are taken in turn.
    #[arg(long, required = true)]
    way: Vec<Way>,
    /// What the names of the programs begin with.
    #[arg(long, default_value = Programs::APP)]
    named: String,
}

/// A connection as the firewall sees it, its source address aside.
type Tuple = (Protocol, SocketAddr, u16);

/// What is wanted, begun and done.
struct Account {
    wanted: u32,
    begun: u32,
    /// At most so many are begun: a source port drawn twice is rare.
    most: u32,
    done: Vec<Shot>,
    /// How many programs had it.
    had_by: HashMap<Tuple, u32>,
}

impl Account {
    fn new(count: u32) -> Self {
        Self {
            wanted: count,
            begun: 0,
            most: count.saturating_mul(2),
            done: Vec::new(),
            had_by: HashMap::new(),
        }
    }

    /// The number of the next program; `None` when enough have begun.
    fn next(&mut self) -> Option<u32> {
        (self.begun < self.wanted.min(self.most)).then(|| {
            self.begun += 1;
            self.begun - 1
        })
    }

    /// Notes a program that is gone. One whose flow another had makes up for both.
    fn note(&mut self, shot: Shot) {
        if let Some(tuple) = tuple(&shot) {
            let had_by = self.had_by.entry(tuple).or_default();
            *had_by += 1;
            self.wanted += match *had_by {
                1 => 0,
                2 => 2,
                _ => 1,
            };
        }
        self.done.push(shot);
    }

    /// The programs that had a flow to themselves, or none that is known.
    fn settle(&self) -> impl Iterator<Item = &Shot> {
        let alone = |shot: &&Shot| {
            let had_by = tuple(shot).and_then(|tuple| self.had_by.get(&tuple));
            had_by.is_none_or(|count| *count == 1)
        };
        self.done.iter().filter(alone)
    }
}

fn tuple(shot: &Shot) -> Option<Tuple> {
    (shot.from_port != 0).then_some((shot.deed.protocol(), shot.to, shot.from_port))
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    adopt_orphans()?;
    let programs = files(&arguments.folder, &arguments.named)?;
    ensure!(!programs.is_empty(), "no {}* in {}", arguments.named, arguments.folder.display());
    let forkers = match arguments.way.contains(&Way::Fork) {
        true => files(&arguments.folder, Programs::FORKER)?,
        false => Vec::new(),
    };
    let account = &Mutex::new(Account::new(arguments.count));
    let programs = &programs;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..usize::from(arguments.parallel))
            .map(|number| {
                let forker = forkers.get(number % forkers.len().max(1));
                scope.spawn(move || work(arguments, programs, forker, account))
            })
            .collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::Error::msg("a worker panicked")),
        });
        joined.collect::<anyhow::Result<()>>()
    })?;
    let account = account.lock().unwrap_or_else(PoisonError::into_inner);
    for shot in account.settle() {
        output::line(serde_json::to_string(shot)?);
    }
    Ok(())
}

/// Starts one program after the other, until enough have begun.
fn work(
    arguments: &Arguments,
    programs: &[PathBuf],
    forker: Option<&PathBuf>,
    account: &Mutex<Account>,
) -> anyhow::Result<()> {
    let account = || account.lock().unwrap_or_else(PoisonError::into_inner);
    let mut forker = forker.map(|path| Forker::start(path)).transpose()?;
    loop {
        let Some(number) = account().next() else { return Ok(()) };
        let (deed, way, to) = case(arguments, number as usize);
        let (done, executable) = if way == Way::Fork {
            let forker = forker.as_mut().context("no forker-* in the folder")?;
            (forker.shoot(deed, to)?, forker.path().to_path_buf())
        } else {
            let program = &programs[number as usize % programs.len()];
            (ways::start(way, program, deed, to)?, program.clone())
        };
        let (from_port, outcome) = (done.from_port, done.outcome);
        account().note(Shot { deed, way, from_port, to, executable, outcome });
    }
}

/// The cell of the matrix that a number falls on.
fn case(arguments: &Arguments, number: usize) -> (Deed, Way, SocketAddr) {
    let Arguments { deed, way, to, .. } = arguments;
    let (deeds, ways) = (deed.len(), way.len());
    (deed[number % deeds], way[number / deeds % ways], to[number / (deeds * ways) % to.len()])
}

fn files(folder: &Path, named: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(named))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shot(from_port: u16) -> Shot {
        Shot {
            deed: Deed::SendTo,
            way: Way::Exec,
            from_port,
            to: ([10, 0, 0, 1], 7001).into(),
            executable: PathBuf::from("app"),
            outcome: "ok".to_owned(),
        }
    }

    #[test]
    fn flows_that_two_programs_had_are_made_up_for_and_left_out() {
        let mut account = Account::new(4);
        let mut ports =
            [40_001, 40_002, 40_001, 40_003, 40_001, 40_004, 40_005, 40_006].into_iter();
        while account.next().is_some() {
            account.note(shot(ports.next().expect("enough ports")));
        }
        let kept: Vec<u16> = account.settle().map(|shot| shot.from_port).collect();
        assert_eq!(kept, [40_002, 40_003, 40_004, 40_005]);
    }

    #[test]
    fn ports_that_nobody_knows_are_told_of_and_flows_drawn_again_and_again_come_to_an_end() {
        let mut account = Account::new(2);
        while account.next().is_some() {
            account.note(shot(0));
        }
        assert_eq!(account.settle().count(), 2);
        let mut account = Account::new(3);
        while account.next().is_some() {
            account.note(shot(40_001));
        }
        assert_eq!((account.begun, account.settle().count()), (6, 0));
    }
}
