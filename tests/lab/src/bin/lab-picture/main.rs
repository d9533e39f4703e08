//! `lab-picture`: a screen on standard input, as `tmux capture-pane -e` gives it, to SVG on standard output.

use std::io::{Read as _, Write as _};

use anyhow::Context as _;
use clap::Parser;

/// Most bytes of a screen.
const MOST_BYTES: u64 = 4 << 20;

/// Makes a picture of a terminal's screen.
#[derive(Parser)]
struct Arguments {
    /// What stands above it.
    #[arg(long)]
    title: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut screen = String::new();
    let mut input = std::io::stdin().lock().take(MOST_BYTES);
    input.read_to_string(&mut screen).context("reading a screen from standard input")?;
    let picture = lab::picture::svg(&arguments.title, &screen);
    std::io::stdout().lock().write_all(picture.as_bytes()).context("writing the picture")
}
