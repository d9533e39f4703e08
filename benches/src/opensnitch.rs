//! OpenSnitch, a peer that asks the same question: which program is this?
//!
//! It is taken out of its package and never installed. What it expects at
//! fixed places it gets in a mount namespace of its own: `/etc` there is a
//! folder of links to what the machine has, and its own two files. Of its
//! settings only what must be is changed: owners by `/proc`, which every
//! kernel has, and files and sockets in a temporary folder.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lab::{Host, Running, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names the folder that its packages are unpacked in.
const FOLDER: &str = "OPENSNITCH_FOLDER";
/// Says why there is no such folder.
const PROBLEM: &str = "OPENSNITCH_PROBLEM";
const PROGRAM: &str = "usr/bin/opensnitchd";
const SETTINGS: &str = "etc/opensnitchd";
/// The queue that it reads, unless told otherwise.
const QUEUE: &str = "0";
/// It loads its rules, makes those in the kernel, then reads its queue.
const START: Duration = Duration::from_secs(20);
/// It closes its queue by a time-out of its own.
const STOP: Duration = Duration::from_secs(10);
/// Lines of its log that are told when it doesn't start.
const TOLD_LINES: usize = 5;

/// Makes its `/etc` out of links and its own files, then becomes the program:
/// `sh -c SCRIPT sh OWN FOLDER`.
const SCRIPT: &str = "set -e\n\
    own=$1 folder=$2\n\
    mkdir \"$own/etc\"\n\
    mount --bind /etc \"$own/etc\"\n\
    mount -t tmpfs tmpfs /etc\n\
    ln -s \"$own\"/etc/* /etc/\n\
    rm -f /etc/opensnitchd\n\
    cp -r \"$own/settings\" /etc/opensnitchd\n\
    for libraries in \"$folder\"/usr/lib/*-linux-*; do break; done\n\
    export LD_LIBRARY_PATH=\"$libraries\" PATH=\"$own/bin:$PATH\"\n\
    exec \"$folder/usr/bin/opensnitchd\" -rules-path \"$own/rules\" -log-file \"$own/log\"\n";

/// One that runs. Stopped, with its rules gone, when dropped.
pub(crate) struct OpenSnitch<'w> {
    host: &'w Host,
    running: Running,
    own: TempDir,
}

/// What it is to do with all connections, and with those of one program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rules<'a> {
    /// Everybody's are allowed.
    AllowAll,
    /// Those of the program of this path are denied, all others allowed.
    Deny(&'a Path),
}

impl<'w> OpenSnitch<'w> {
    /// Starts it, and waits until packets go through it.
    pub(crate) fn start(host: &'w Host, rules: Rules<'_>) -> anyhow::Result<Self> {
        let folder = folder()?;
        let own = TempDir::with_prefix("seawall-bench-").context("making a temporary folder")?;
        prepare(own.path(), &folder, rules).context("preparing OpenSnitch's own files")?;
        let mut command = host.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"]);
        command.arg(own.path()).arg(&folder);
        let mut peer = Self { host, running: Running::start(&mut command), own };
        let ready = until(START, || (peer.judges() || peer.running.poll().is_some()).then_some(()));
        if ready.is_none() || peer.running.poll().is_some() {
            let log = std::fs::read_to_string(peer.own.path().join("log")).unwrap_or_default();
            let said = format!("{}{log}", peer.running.stderr());
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(TOLD_LINES)..];
            bail!("OpenSnitch did not start; the last that it said: {}", last.join(" | "));
        }
        Ok(peer)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Its process alone, unless it has ended.
    fn signal(&mut self, signal: Signal) {
        if self.running.poll().is_none() {
            let _ = kill(Pid::from_raw(self.running.pid() as i32), signal);
        }
    }

    /// Whether the kernel sends packets of both families to its queue, and it reads them.
    fn judges(&self) -> bool {
        let queues = self.host.run("cat", &["/proc/net/netfilter/nfnetlink_queue"]);
        let reads = queues.lines().any(|line| line.split_ascii_whitespace().next() == Some(QUEUE));
        let sends = |program: &str| {
            self.host.run(program, &["-t", "mangle"]).contains("-j NFQUEUE --queue-num 0")
        };
        reads && ["iptables-legacy-save", "ip6tables-legacy-save"].into_iter().all(sends)
    }
}

impl Drop for OpenSnitch<'_> {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
        if self.running.wait(STOP).is_none() {
            eprintln!("OpenSnitch did not stop within {} s: it is killed", STOP.as_secs());
            self.signal(Signal::SIGKILL);
            self.running.wait(STOP);
        }
        // Its rules can't come back now.
        for program in ["iptables-legacy", "ip6tables-legacy"] {
            for table in ["mangle", "filter"] {
                for order in ["-F", "-X"] {
                    let mut command = self.host.command(program);
                    lab::process::run(command.args(["-w", "5", "-t", table, order]));
                }
            }
        }
    }
}

/// Where it is unpacked.
fn folder() -> anyhow::Result<PathBuf> {
    if let Some(problem) = std::env::var_os(PROBLEM).filter(|problem| !problem.is_empty()) {
        bail!("there is no OpenSnitch: {}", problem.to_string_lossy());
    }
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let folder =
        folder.with_context(|| format!("{FOLDER} is not set: run scripts/bench --peers"))?;
    let program = folder.join(PROGRAM);
    ensure!(program.is_file(), "there is no OpenSnitch: {} is no file", program.display());
    Ok(folder)
}

/// Writes its settings and rules, and has it use the iptables whose `NFQUEUE` every kernel knows.
fn prepare(own: &Path, folder: &Path, rules: Rules<'_>) -> anyhow::Result<()> {
    for name in ["settings", "rules", "bin"] {
        std::fs::create_dir(own.join(name))?;
    }
    for entry in std::fs::read_dir(folder.join(SETTINGS)).context("its settings")? {
        let entry = entry?;
        std::fs::copy(entry.path(), own.join("settings").join(entry.file_name()))?;
    }
    let file = own.join("settings/default-config.json");
    let text = std::fs::read_to_string(&file).context("its settings")?;
    std::fs::write(&file, settings(&text, own)?.to_string())?;
    for (name, rule) in rules_of(rules) {
        std::fs::write(own.join("rules").join(format!("{name}.json")), rule.to_string())?;
    }
    for name in ["iptables", "ip6tables"] {
        let legacy = ["/usr/sbin", "/sbin"].map(|folder| format!("{folder}/{name}-legacy"));
        let found = legacy.iter().find(|path| Path::new(path).exists());
        symlink(found.with_context(|| format!("no {name}-legacy"))?, own.join("bin").join(name))?;
    }
    Ok(())
}

/// Its settings as the package has them, but for what can't be so here.
fn settings(packaged: &str, own: &Path) -> anyhow::Result<Value> {
    let mut settings: Value = serde_json::from_str(packaged).context("reading its settings")?;
    settings["Server"]["Address"] = json!(format!("unix://{}", own.join("ui.sock").display()));
    settings["Server"]["LogFile"] = json!(own.join("log"));
    settings["ProcMonitorMethod"] = json!("proc");
    settings["InterceptUnknown"] = json!(true);
    Ok(settings)
}

/// Rules by name; it reads them in the order of their names.
fn rules_of(rules: Rules<'_>) -> Vec<(&'static str, Value)> {
    let rule = |name: &'static str, action: &str, operand: &str, data: Value| {
        let operator = json!({"type": "simple", "operand": operand, "sensitive": true,
                              "data": data, "list": []});
        // One with precedence is the last word.
        let rule = json!({"created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z",
                          "name": name, "enabled": true, "precedence": action == "deny",
                          "action": action, "duration": "always", "operator": operator});
        (name, rule)
    };
    let allow = rule("999-allow-all", "allow", "true", json!(""));
    match rules {
        Rules::AllowAll => vec![allow],
        Rules::Deny(path) => {
            vec![rule("000-deny", "deny", "process.path", json!(path)), allow]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_program_is_named_by_its_path_before_all_others_are_allowed() {
        let rules = rules_of(Rules::Deny(Path::new("/tmp/denied")));
        assert!(rules.is_sorted_by_key(|(name, _)| *name));
        let actions: Vec<&Value> = rules.iter().map(|(_, rule)| &rule["action"]).collect();
        assert_eq!(actions, [&json!("deny"), &json!("allow")]);
        assert_eq!(rules[0].1["operator"]["data"], json!("/tmp/denied"));
        assert_eq!(rules_of(Rules::AllowAll).len(), 1);
    }

    #[test]
    fn settings_stay_as_packaged_but_for_where_things_are_and_how_owners_are_found() {
        let packaged = r#"{"Server": {"Address": "a", "LogFile": "b"}, "DefaultAction": "allow",
                           "ProcMonitorMethod": "ebpf", "Firewall": "iptables"}"#;
        let settings = settings(packaged, Path::new("/own")).expect("it is JSON");
        assert_eq!(settings["ProcMonitorMethod"], json!("proc"));
        assert_eq!(settings["Server"]["Address"], json!("unix:///own/ui.sock"));
        assert_eq!(settings["DefaultAction"], json!("allow"));
        assert!(super::settings("no JSON", Path::new("/own")).is_err());
    }
}
