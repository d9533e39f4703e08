//! The command `seawall`: the firewall itself (`run`) and the verbs that ask it things.

mod cli;
mod client;
mod installed;
mod keeper;
mod logging;
mod output;
mod settings;
mod tree;
mod verbs;
mod worker;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    verbs::perform(cli.verb).into()
}
