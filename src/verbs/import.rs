//! `seawall import`: a text taken into the store; or what another firewall wrote made into such a text.

mod portmaster;

use std::io::{ErrorKind, Read};
use std::path::Path;

use hyper::Method;
use seawall_messages::api::Imported;
use seawall_messages::policy::Import;

use super::{Outcome, read_text};
use crate::cli::{ImportArguments, ImportFrom};
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output::{self, Style};

/// Largest export, in bytes: icons may be in it.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Largest text, in bytes: in a request it is escaped, and that has a bound, too.
const MAX_TEXT_BYTES: u64 = 8 << 20;

pub(super) fn perform(asked: &ImportArguments) -> Result<Outcome, ClientError> {
    match (&asked.from, &asked.file) {
        (Some(ImportFrom::Portmaster { file }), _) => Ok(from_portmaster(file, asked.common.json)),
        (None, Some(file)) => from_text(file, asked),
        (None, None) => Err(ClientError::Refused("no file was named".to_owned())),
    }
}

/// `seawall import FILE`: done when live flows follow.
fn from_text(path: &Path, asked: &ImportArguments) -> Result<Outcome, ClientError> {
    let text = match path == Path::new("-") {
        true => from_standard_input(),
        false => read_text(path, MAX_TEXT_BYTES),
    };
    let text =
        text.map_err(|problem| ClientError::Refused(format!("{}: {problem}", path.display())))?;
    let request = Import { text, dry_run: asked.dry_run, replace: asked.replace };
    let client = Client::new(&asked.common.run_dir);
    let answer: Imported =
        client.send(Method::POST, "/v1/import", Some(&request), SLOW, Repeat::Safe)?;
    if asked.common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    for line in &answer.difference.lines {
        let style = match line.as_bytes().first() {
            Some(b'+') => Style::Good,
            Some(b'-') => Style::Bad,
            _ => Style::Plain,
        };
        output::styled_line(&[(style, line)]);
    }
    let (count, generation) = (answer.difference.lines.len(), answer.policy.generation.0);
    output::line(match (count, asked.dry_run) {
        (0, _) => "nothing changes: it is all so already".to_owned(),
        (count, true) => format!("{count} changes; nothing was changed: it was a dry run"),
        (count, false) => format!("{count} changes, in force (generation {generation})"),
    });
    Ok(Outcome::Done)
}

fn from_standard_input() -> Result<String, String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_TEXT_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 > MAX_TEXT_BYTES => {
            Err(format!("found more than {MAX_TEXT_BYTES} bytes"))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err("it is not text".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// `seawall import portmaster FILE`
fn from_portmaster(path: &Path, json: bool) -> Outcome {
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
