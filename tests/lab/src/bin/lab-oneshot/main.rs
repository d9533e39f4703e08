//! `lab-oneshot`: programs that are gone at once, and the driver that starts
//! them by the thousand. See `lab::oneshot` for who owns what.
//!
//! ```text
//! lab-oneshot run --to ADDRESS:PORT --folder DIR --count N ...
//! lab-oneshot shot WAY DEED ADDRESS:PORT
//! lab-oneshot hold DEED ADDRESS:PORT [SOURCE_PORT]
//! ```
//! The programs in DIR are copies of this one, so `shot` starts without any
//! of what a command line with options needs.

mod deed;
mod driver;
mod forker;
mod output;
mod shot;
mod ways;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Short-lived programs for the test lab.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts short-lived programs as fast as it can, and tells of each.
    Run(driver::Arguments),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.first().map(String::as_str) {
        Some("shot") => shot::run(&words[1..]),
        Some("hold") => shot::hold(&words[1..]),
        _ => {
            let Command::Run(arguments) = Arguments::parse().command;
            driver::run(&arguments)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
