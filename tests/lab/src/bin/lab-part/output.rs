//! The only place that writes to standard output and standard error.

#![allow(clippy::print_stderr, reason = "a command's errors belong on standard error")]

use std::fmt::Display;
use std::io::Write as _;

/// Prints one line. A reader that has gone away is no reason to stop.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Says what went wrong.
pub(crate) fn error(text: impl Display) {
    eprintln!("lab-part: {text}");
}
