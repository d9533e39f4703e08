//! `lab-load`: makes traffic and answers it, and says what became of it.
//!
//! Runs inside a namespace of the test lab. Prints one JSON object a line, as
//! in `lab::report`. Light on CPU: it shares two cores with what it measures.

mod connect;
mod datagram;
mod ending;
mod output;
mod serve;
mod stream;
mod udp;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Traffic for the test lab.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer: echo a byte, swallow or pour out streams, count datagrams. Until standard input ends.
    Serve(serve::Arguments),
    /// Connect, send one byte, get it back, close; at a rate, or as fast as may be.
    Connect(connect::Arguments),
    /// Bulk TCP, with the longest gap between two steps of progress.
    Stream(stream::Arguments),
    /// Numbered datagrams.
    Udp(udp::Arguments),
}

fn main() -> ExitCode {
    raise_descriptor_limit();
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Connect(arguments) => connect::run(&arguments),
        Command::Stream(arguments) => stream::run(&arguments),
        Command::Udp(arguments) => udp::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Thousands of connections may wait at once. A refusal shows as failed connections.
fn raise_descriptor_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
