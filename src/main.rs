//! The command `seawall`: the firewall itself (`run`) and the verbs that ask it things.

mod cli;
mod client;
mod installed;
mod keeper;
mod logging;
mod monitor;
mod output;
mod settings;
mod tree;
mod verbs;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::parse();
    output::choose_colors(cli.color);
    verbs::perform(cli.verb).into()
}
