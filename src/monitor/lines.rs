//! What happens to connections, line by line: for pipes and files.

use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use seawall_messages::datapath::Connection;
use serde::Serialize;

use super::ask;
use super::known::{Happened, Known};
use super::text::moment;
use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output;
use crate::verbs::{Outcome, describe};

/// How often Seawall is asked what is new.
const NEWS: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    at: String,
    connection: &'a Connection,
}

/// How lines look.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Json,
}

/// Prints what there is, or what happens from now on until nobody reads it any more.
pub(super) fn follow(once: bool, common: &Common) -> Result<Outcome, ClientError> {
    let form = if common.json { Form::Json } else { Form::Plain };
    let client = Client::new(&common.run_dir);
    let mut known = Known::default();
    take_all(&client, &mut known)?;
    if once {
        let mut listed: Vec<Connection> =
            known.connections.into_values().map(|entry| entry.connection).collect();
        listed.sort_by_key(|connection| std::cmp::Reverse((connection.decided, connection.flow)));
        let lines = listed.iter().map(|connection| line("listed", connection, form));
        print(lines.collect());
        return Ok(Outcome::Done);
    }
    let mut is_lost = false;
    while is_read() {
        match take_all(&client, &mut known) {
            Ok(happened) => {
                if std::mem::take(&mut is_lost) {
                    output::complaint("Seawall answers again");
                }
                let lines = happened
                    .iter()
                    .map(|(happened, connection)| line(word(*happened), connection, form));
                if !print(lines.collect()) {
                    break;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_lost, true) {
                    output::complaint(format_args!("{}; trying again", describe(&error)));
                }
            }
        }
    }
    Ok(Outcome::Done)
}

/// All that is new, however many answers that takes.
fn take_all(
    client: &Client,
    known: &mut Known,
) -> Result<Vec<(Happened, Connection)>, ClientError> {
    let mut happened = Vec::new();
    loop {
        let changes = ask::changes(client, known.cursor, known.moves)?;
        // Told again from the same place on: nobody knows the owners just now.
        let more = changes.list.more && changes.list.cursor != known.cursor;
        happened.extend(known.take(changes, SystemTime::now()));
        if !more {
            return Ok(happened);
        }
    }
}

fn word(happened: Happened) -> &'static str {
    match happened {
        Happened::Appeared => "appeared",
        Happened::Changed => "changed",
        Happened::Ended => "ended",
    }
}

fn line(event: &'static str, connection: &Connection, form: Form) -> String {
    let at = moment(SystemTime::now());
    match form {
        Form::Plain => {
            let app = connection.used_by.as_ref().map(|used_by| used_by.attribution.app().name);
            let app = app.as_deref().unwrap_or("Unidentified");
            let (action, flow) = (connection.action.as_str(), &connection.flow);
            let reason = &connection.reason;
            let text = format!("{at} {event:8} {action:6} {app}: {flow} ({reason})");
            output::one_line(&text).into_owned()
        }
        Form::Json => serde_json::to_string(&Line { event, at, connection })
            .map(|json| output::in_json(&json).into_owned())
            .unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}")),
    }
}

/// Whether somebody reads on.
fn print(lines: Vec<String>) -> bool {
    let mut output = io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(output, "{line}"));
    written.and_then(|()| output.flush()).is_ok()
}

/// Waits for the next look. Whether somebody still reads.
fn is_read() -> bool {
    let output = io::stdout();
    let mut fds = [PollFd::new(&output, PollFlags::empty())];
    match poll(&mut fds, Some(&NEWS)) {
        Ok(_) => !fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP)),
        // A signal that doesn't end the program.
        Err(_) => {
            std::thread::sleep(Duration::from_millis(100));
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::sample;

    #[test]
    fn a_line_tells_who_where_and_why_and_nothing_to_the_terminal() {
        let denied = &sample::answer().list.connections[3];
        let plain = line("appeared", denied, Form::Plain);
        let (time, rest) = plain.split_at(20);
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        assert_eq!(
            rest,
            " appeared reject evil\\u{1b}[2J: outbound TCP 10.77.0.1:40003 > 10.0.0.9:25 \
             (outgoing_rules say no 10.0.0.9 TCP/25 (rule 2: - 10.0.0.9 TCP/25), for no mail)"
        );
        let json: serde_json::Value =
            serde_json::from_str(&line("ended", denied, Form::Json)).expect("JSON");
        assert_eq!(json["event"], "ended");
        assert_eq!(json["connection"]["action"], "reject");
        assert!(!line("ended", denied, Form::Json).contains(['\u{1b}', '\n']));
    }
}
