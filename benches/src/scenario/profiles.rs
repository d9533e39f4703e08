//! What ten thousand profiles cost: to be read at a start, in memory, and to be found.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use lab::{Seawall, eventually};
use seawall_messages::policy::{Fingerprint, Pattern, PolicyGeneration, Profile};
use seawall_messages::process::{App, AppKind, Attribution, Method, Process};
use seawall_messages::setting::{Value, Values};
use seawall_policy::store::{Edit, FOLDER_NAME};
use seawall_policy::stored::Stored;
use seawall_policy::{PolicyFile, Store, effective, rule};

use super::{Findings, Setting};
use crate::promise::Promise;
use crate::report::Row;

/// As many as may be kept.
const PROFILES: u32 = 10_000;

/// Finds in a round.
const FINDS: u32 = 10_000;

/// How long a start may take before it counts for none.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn costs(setting: &Setting<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let state = folder.path().join("state").join(FOLDER_NAME);
    write(&state)?;
    let rounds = setting.pairs.max(3);
    let (mut load_ms, mut find_us) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begun = Instant::now();
        let mut store = Store::open(&state)?;
        let stored = Stored::new(store.settings()?, store.profiles()?);
        let file = PolicyFile::default();
        let snapshot = effective::snapshot(
            &file,
            &stored,
            PolicyGeneration(1),
            Vec::new(),
            &rule::now().into(),
        );
        load_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        let processes: Vec<_> = (0..FINDS).map(attribution).collect();
        let begun = Instant::now();
        for process in &processes {
            black_box(snapshot.app_place(black_box(process)));
        }
        find_us.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(FINDS));
    }
    let load = Row::alone("10,000 profiles: read at a start", "ms", &load_ms);
    findings.rows.push(load.promised(Promise::AtMost(200.0), setting.strictness));
    findings.rows.push(Row::alone("10,000 profiles: the one of a process", "us", &find_us));

    let (with, without) = (memory(setting, Some(folder))?, memory(setting, None)?);
    let more = Row::alone("10,000 profiles: memory (PSS), both processes", "MB", &[with - without]);
    findings.rows.push(more.promised(Promise::AtMost(30.0), setting.strictness));
    Ok(())
}

/// Megabytes of a Seawall with that state.
fn memory(setting: &Setting<'_>, folder: Option<tempfile::TempDir>) -> anyhow::Result<f64> {
    let mut builder =
        Seawall::on(&setting.arena.world.desk).policy("").backend(setting.arena.flavour);
    if let Some(folder) = folder {
        builder = builder.folder(folder);
    }
    let seawall = builder.start();
    eventually("it is protected", PATIENCE, || seawall.verb(&["status"]).code == Some(0));
    Ok(seawall.pss_kib() as f64 * 1024.0 / 1e6)
}

fn write(folder: &Path) -> anyhow::Result<()> {
    let profiles = (0..PROFILES).map(profile).collect();
    Store::open(folder)?.edit(&Edit { profiles, ..Edit::default() })?;
    Ok(())
}

fn path(number: u32) -> String {
    format!("/usr/lib/package-{}/bin/program-{number}", number % 97)
}

/// Of each ten: six by path, three by id, one by a pattern. Two switches and three rules each.
fn profile(number: u32) -> Profile {
    let pattern = |text: &str| Some(Pattern::new(text));
    let fingerprint = match number % 10 {
        0 => Fingerprint { path: pattern(&format!("/opt/{number}/*")), ..Fingerprint::default() },
        1..4 => Fingerprint { tag: pattern(&format!("snap:{number}")), ..Fingerprint::default() },
        _ => Fingerprint { path: pattern(&path(number)), ..Fingerprint::default() },
    };
    let rules = vec![
        format!("- 10.{}.{}.0/24 TCP/443", number / 250, number % 250),
        "+ *.example.com".to_owned(),
        "+ LAN UDP/53 # names".to_owned(),
    ];
    let settings = Values::from([
        ("block_inbound".to_owned(), Value::Switch(true)),
        ("default_action".to_owned(), Value::Word("permit".to_owned())),
        ("outgoing_rules".to_owned(), Value::Rules(rules)),
    ]);
    Profile {
        id: number + 1,
        name: Arc::from(format!("Program {number}")),
        matches: vec![fingerprint],
        settings,
        problems: Vec::new(),
        created_s: 0,
    }
}

fn attribution(number: u32) -> Attribution {
    let path = path(number);
    let app = App {
        id: Arc::from(format!("path:{path}")),
        kind: AppKind::Path,
        name: Arc::from(path.as_str()),
        icon: None,
    };
    let process = Some(Arc::new(Process::made_up(app, &path)));
    Attribution { method: Method::OpenFiles, process }
}
