//! `seawall import`: what others wrote, as a policy. Prints it and touches nothing.

mod portmaster;

use std::path::Path;

use super::{Outcome, read_text};
use crate::output::{self, Style};

/// Largest export, in bytes: icons may be in it.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// `seawall import portmaster FILE`
pub(super) fn from_portmaster(path: &Path, json: bool) -> Outcome {
    let converted = read_text(path, MAX_FILE_BYTES).and_then(|text| portmaster::convert(&text));
    let converted = match converted {
        Ok(converted) => converted,
        Err(problem) => {
            output::complaint(format_args!("{}: {problem}", path.display()));
            return Outcome::Failed;
        }
    };
    if json {
        output::json(&converted);
        return Outcome::Done;
    }
    output::verbatim(converted.policy.as_bytes());
    for left in &converted.left_out {
        output::note(Style::Strong, "left out:", format_args!("{}: {}", left.what, left.why));
    }
    Outcome::Done
}
