//! `seawall-bench`: Seawall side by side with the barest loop that accepts
//! everything, and with no firewall at all. Ratios of interleaved pairs, so
//! that a busy machine falls on both sides alike; see CONTRIBUTING.md.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the results of a command belong there"
)]

mod bare;
mod contender;
mod faults;
mod opensnitch;
mod promise;
mod report;
mod rounds;
mod scenario;
mod slices;
mod statistics;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum as _};
use lab::World;

use crate::contender::Arena;
use crate::promise::Strictness;
use crate::report::{Machine, Report};
use crate::scenario::{Findings, Scenario, Setting};

/// Measures Seawall side by side with baselines, in network namespaces of its own. Needs root.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// A short run for busy machines: promises count as broken only when missed tenfold.
    #[arg(long)]
    quick: bool,
    /// Interleaved pairs of each scenario [default: 9, or 3 with --quick].
    #[arg(long)]
    pairs: Option<usize>,
    /// Seconds of each measurement [default: 3, or 1 with --quick].
    #[arg(long)]
    seconds: Option<f64>,
    /// Only these scenarios.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Also beside other firewalls, which scripts/bench fetches: OpenSnitch.
    #[arg(long)]
    peers: bool,
    /// The iptables that all contenders use.
    #[arg(long, value_enum, default_value = "iptables-nft")]
    flavour: Flavour,
    /// Where results.md and results.json go [default: the folder `bench` beside the program's folder].
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// The baseline itself: accepts all that comes to its queue, until it is killed.
    Bare {
        /// How far it goes.
        #[arg(value_enum)]
        variant: bare::Variant,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Flavour {
    IptablesNft,
    IptablesLegacy,
}

impl Flavour {
    fn program(self) -> &'static str {
        match self {
            Self::IptablesNft => "iptables-nft",
            Self::IptablesLegacy => "iptables-legacy",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Bare { variant }) => bare::run(variant, std::io::stdout()).map(|()| true),
        None => measure(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("seawall-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all promises were kept.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let (pairs, seconds, idle_seconds, strictness) = match arguments.quick {
        true => (3, 1.0, 5.0, Strictness::WithinTen),
        false => (9, 3.0, 60.0, Strictness::Exact),
    };
    let machine = machine();
    let world = World::new();
    let setting = Setting {
        arena: Arena { world: &world, flavour: arguments.flavour.program() },
        pairs: arguments.pairs.unwrap_or(pairs),
        seconds: arguments.seconds.unwrap_or(seconds),
        idle_seconds,
        strictness,
    };
    let mut findings = Findings::default();
    for scenario in scenarios(arguments) {
        let start = Instant::now();
        // The lab panics when a program does not do its part; what was measured before is kept.
        let outcome = catch_unwind(AssertUnwindSafe(|| scenario.run(&setting, &mut findings)));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => findings.problems.push(format!("{scenario:?}: {error:#}")),
            Err(_) => findings.problems.push(format!("{scenario:?}: gave up, see above")),
        }
        eprintln!("{scenario:?}: {:.0} s", start.elapsed().as_secs_f64());
    }
    let faults = faults::read(&target_folder()?.join("e2e/faults"))?;
    let report = Report {
        machine,
        version: version(&world),
        strictness,
        pairs: setting.pairs,
        rows: findings.rows,
        faults,
        problems: findings.problems,
    };
    println!("{}", report.table());
    report.write_to(&output_folder(arguments)?)?;
    Ok(report.is_good())
}

fn scenarios(arguments: &Arguments) -> Vec<Scenario> {
    match arguments.only.as_slice() {
        [] => {
            let wanted = |scenario: &&Scenario| arguments.peers || **scenario != Scenario::Peers;
            Scenario::value_variants().iter().filter(wanted).copied().collect()
        }
        only => only.to_vec(),
    }
}

fn output_folder(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    match &arguments.output {
        Some(folder) => Ok(folder.clone()),
        None => Ok(target_folder()?.join("bench")),
    }
}

/// The folder of build results that this program lies in.
fn target_folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("finding the bench itself")?;
    own.ancestors().nth(2).map(Path::to_path_buf).context("finding the folder of results")
}

fn version(world: &World) -> String {
    lab::seawall::command(&world.desk, &["--version"]).stdout.trim().to_owned()
}

fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "unknown processor".to_owned(), |(_, model)| model.to_owned());
    Machine {
        processor: model,
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        load_before: read("/proc/loadavg").split(' ').take(1).collect(),
    }
}
