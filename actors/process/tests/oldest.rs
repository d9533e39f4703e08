//! The process of an app that runs longest.
//!
//! A program of its own: one whose children ended is no clear owner of its sockets for a while, as other tests need it.
#![cfg(target_os = "linux")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use seawall_messages::Snapshot;
use seawall_messages::policy::{AppFilter, AppPolicy, Fingerprint, Pattern, Profiles};
use seawall_messages::process::Process;
use seawall_platform::linux::processes;
use seawall_process::oldest_running;

struct Cat(Child);

impl Cat {
    fn start(path: &std::path::Path) -> Self {
        Self(Command::new(path).stdin(Stdio::piped()).spawn().expect("it runs"))
    }
}

impl Drop for Cat {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("it ends with its input");
    }
}

fn fingerprint(path: &str, command_line: Option<&str>) -> Fingerprint {
    let pattern = |text: &str| Some(Pattern::new(text));
    let command_line = command_line.and_then(pattern);
    Fingerprint { path: pattern(path), command_line, ..Fingerprint::default() }
}

/// Whose process it is, in a policy with these profiles.
fn oldest(profiles: &[(&str, Fingerprint)], name: &str) -> Option<u32> {
    let app = |(name, fingerprint): &(&str, Fingerprint)| AppPolicy {
        name: Arc::from(*name),
        fingerprint: fingerprint.clone(),
        filter: AppFilter::default(),
    };
    let all: Vec<_> = profiles.iter().map(app).collect();
    let of_it = all.iter().filter(|app| *app.name == *name);
    let matches: Vec<_> = of_it.map(|app| app.fingerprint.clone()).collect();
    let snapshot = Snapshot { profiles: Profiles::from(all), ..Snapshot::unloaded() };
    let is_it =
        |process: &Process| snapshot.profile_of(process).is_some_and(|app| *app.name == *name);
    let found = oldest_running(&matches, &is_it, &snapshot).expect("processes are listed");
    found.map(|key| key.pid)
}

#[test]
fn the_oldest_that_is_the_apps_and_runs_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |name: &str| {
        let path = folder.path().join(name);
        std::fs::copy("/bin/cat", &path).expect("a copy of cat");
        path
    };
    let (app, other) = (copy("app"), copy("other"));
    let path = app.to_str().expect("plain").to_owned();
    let said = [("app", fingerprint(&path, None))];
    assert_eq!(oldest(&said, "app"), None);
    let aside = Cat::start(&other);
    assert_eq!(oldest(&said, "app"), None);
    let first = Cat::start(&app);
    // Starts are told in hundredths of a second.
    let begun = processes::uptime_ticks();
    while processes::uptime_ticks() < begun + 2 {
        std::thread::yield_now();
    }
    let second = Cat::start(&app);
    assert_eq!(oldest(&said, "app"), Some(first.0.id()));
    let star = [("app", fingerprint(&format!("{}/*", folder.path().display()), None))];
    assert_eq!(oldest(&star, "app"), Some(aside.0.id()));
    let telling = [("app", fingerprint(&path, None)), ("cats", fingerprint(&path, Some("*")))];
    assert_eq!(oldest(&telling, "app"), None, "another profile says more of them");
    assert_eq!(oldest(&telling, "cats"), Some(first.0.id()));
    drop(first);
    assert_eq!(oldest(&said, "app"), Some(second.0.id()));
    std::fs::remove_file(&app).expect("it goes");
    assert_eq!(oldest(&said, "app"), Some(second.0.id()), "its file is gone, and it runs");
}
