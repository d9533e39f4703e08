//! A program that says it is a Seawall and is none, or not for long: what an
//! upgrade must survive. How it fails is told by the last line of its own file,
//! which a test writes behind the program:
//!
//! - `worker crash`: the worker ends at once;
//! - `worker greet-and-crash`: it greets its keeper, then ends;
//! - `worker silent`: it does nothing;
//! - `worker idle`: it greets and beats, and never judges;
//! - `keeper crash PATH`, `keeper silent PATH`: the worker is that of the
//!   program at the path, the keeper ends at once, or does nothing.

#![allow(clippy::print_stdout, reason = "what it says for its version is its output")]

use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use seawall_messages::keeper::{PROTOCOL_VERSION, ToKeeper};
use seawall_platform::linux::link::Link;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--version") => {
            println!("seawall 9.9.9");
            ExitCode::SUCCESS
        }
        Some("worker") => worker(&arguments),
        Some("run") => keeper(),
        _ => ExitCode::FAILURE,
    }
}

/// The words behind the program.
fn how() -> Vec<String> {
    let own = std::fs::read("/proc/self/exe").unwrap_or_default();
    let last = own.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(last).split(' ').map(str::to_owned).collect()
}

fn worker(arguments: &[String]) -> ExitCode {
    let how = how();
    match how.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["worker", "silent"] => sleep(),
        ["worker", "greet-and-crash"] => {
            greet();
            std::process::abort()
        }
        ["worker", "idle"] => {
            let link = greet();
            loop {
                std::thread::sleep(Duration::from_millis(500));
                if link.send_to_keeper(&ToKeeper::Heartbeat, None).is_err() {
                    return ExitCode::FAILURE;
                }
            }
        }
        ["keeper", _, path] => {
            let error = Command::new(path).arg0("seawall").args(arguments).exec();
            println!("can't run {path}: {error}");
            ExitCode::FAILURE
        }
        _ => std::process::abort(),
    }
}

fn keeper() -> ExitCode {
    match how().get(1).map(String::as_str) {
        Some("silent") => sleep(),
        _ => std::process::abort(),
    }
}

fn greet() -> Link {
    let link = std::io::stdin().as_fd().try_clone_to_owned();
    let link = Link::from_fd(link.unwrap_or_else(|error| panic!("no link: {error}")));
    let _ = link.send_to_keeper(&ToKeeper::Hello { version: PROTOCOL_VERSION }, None);
    link
}

fn sleep() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}
