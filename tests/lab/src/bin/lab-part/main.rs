//! `lab-part`: plays a program in the demo. A copy of it under another name is another app.
//!
//! Each part does one thing again and again, says on standard output how it
//! went, a line each time (`reached NAME`, `refused NAME`, `no answer from NAME`), and ends
//! when standard input does. Nothing here is clever: it is what the demo is shown with.

mod client;
mod output;
mod server;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A program in the demo.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Answers HTTP: pages, and files of any size as /SIZE.
    Serve {
        /// Where to listen; may be repeated.
        #[arg(long, required = true)]
        on: Vec<SocketAddr>,
    },
    /// Opens pages, several connections at once.
    Browse {
        /// Names of sites.
        sites: Vec<String>,
    },
    /// Downloads a large file, slowly, over and over.
    Download {
        /// Name of a site.
        site: String,
    },
    /// Saves files on a server of the LAN, and tries one of the Internet, too.
    BackUp {
        /// The server of the LAN.
        near: String,
        /// The one of the Internet.
        far: String,
    },
    /// Reports to somebody, every second.
    CallHome {
        /// Name of a site.
        site: String,
    },
    /// Tries the ports of a host, and shouts to all hosts of the LAN.
    Pester {
        /// The host.
        host: IpAddr,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    std::thread::spawn(move || {
        match arguments.part {
            Part::Serve { on } => server::serve(&on),
            Part::Browse { sites } => client::browse(&sites),
            Part::Download { site } => client::download(&site),
            Part::BackUp { near, far } => client::back_up(&near, &far),
            Part::CallHome { site } => client::call_home(&site),
            Part::Pester { host } => client::pester(host),
        };
    });
    // Until nobody holds the other end: also when whoever started it was killed.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    ExitCode::SUCCESS
}
