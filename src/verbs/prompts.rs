//! `seawall prompts`: what waits for the user, and the answers.

mod watch;
pub(crate) mod words;

use std::time::{Duration, SystemTime};

use hyper::Method;
use seawall_messages::prompt::{
    AnswerPrompt, Choice, DismissPrompt, Extent, Lasting, Prompt, PromptId, Prompts, Taken,
};

use super::Outcome;
use crate::cli::{AnswerArguments, Common, Lasts, PromptsVerb};
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output::{self, Cell, Table};

/// How long an answer counts that a key gives for a while.
const WHILE_S: u64 = 600;

/// Longest time that an answer counts for, as `prompt` has it.
const MOST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

pub(super) fn perform(what: Option<&PromptsVerb>, common: &Common) -> Result<Outcome, ClientError> {
    let client = Client::new(&common.run_dir);
    match what {
        None | Some(PromptsVerb::List) => list(&client, common),
        Some(PromptsVerb::Answer(arguments)) => answer(arguments, &client, common),
        Some(PromptsVerb::Dismiss { id }) => {
            let left = dismiss(PromptId(*id), &client)?;
            if common.json {
                output::json(&left);
            } else {
                output::line("dismissed");
            }
            Ok(Outcome::Done)
        }
        Some(PromptsVerb::Watch) => watch::perform(&client),
    }
}

/// Reads how long an answer counts: `10m`, `8h`, `30d`.
pub(crate) fn length(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a time such as 10m, 90s or 8h, of 1s to 366d";
    let length = humantime::parse_duration(text).map_err(|error| format!("{error}; {EXPECTED}"))?;
    let is_sensible = (Duration::from_secs(1)..=MOST).contains(&length);
    is_sensible.then_some(length).ok_or_else(|| EXPECTED.to_owned())
}

fn list(client: &Client, common: &Common) -> Result<Outcome, ClientError> {
    let answer: Prompts = client.get("/v1/prompts")?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    if answer.prompts.is_empty() {
        output::line("nothing waits for an answer");
    } else {
        table(&answer.prompts, SystemTime::now()).print();
    }
    if !answer.answers.is_empty() {
        output::line("");
        let mut table = Table::new(["ANSWER", "APP", "WHAT", "UNTIL"]).yielding(&[1, 2]);
        for given in &answer.answers {
            table.row([
                Cell::from(&given.id.0.to_string()),
                Cell::from(&*given.asker.app.name),
                Cell::from(&words::covered(given)),
                Cell::from(&words::until(given, SystemTime::now())),
            ]);
        }
        table.print();
    }
    Ok(Outcome::Done)
}

fn table(prompts: &[Prompt], now: SystemTime) -> Table<5> {
    let mut table = Table::new(["ID", "STATE", "APP", "WHAT", "WAITING"]).yielding(&[2, 3]);
    for prompt in prompts {
        let (style, state) = words::state(prompt, now);
        table.row([
            Cell::from(&prompt.id.0.to_string()),
            Cell::styled(style, &state),
            Cell::from(&words::asker(prompt)),
            Cell::from(&words::what(prompt)),
            Cell::from(&prompt.waiting.to_string()),
        ]);
    }
    table
}

fn answer(
    arguments: &AnswerArguments,
    client: &Client,
    common: &Common,
) -> Result<Outcome, ClientError> {
    let AnswerArguments { id, choice, lasts, what } = arguments;
    let id = PromptId(*id);
    let extent = match what {
        Some(what) => Extent::from(*what),
        None => usual_extent(id, &client.get::<Prompts>("/v1/prompts")?),
    };
    let answer =
        AnswerPrompt { id, choice: Choice::from(*choice), extent, lasting: lasting(lasts) };
    let taken = give(&answer, client)?;
    if common.json {
        output::json(&taken);
    } else {
        output::line(words::taken(&answer, &taken));
    }
    Ok(Outcome::Done)
}

/// What an answer is about that doesn't say: as little as it can be.
fn usual_extent(id: PromptId, list: &Prompts) -> Extent {
    let prompt = list.prompts.iter().find(|prompt| prompt.id == id);
    prompt.map_or(Extent::AddressPort, Prompt::usual_extent)
}

fn lasting(lasts: &Lasts) -> Lasting {
    match lasts {
        Lasts { length: Some(length), .. } => Lasting::Seconds(length.as_secs().max(1)),
        Lasts { until_app_ends: true, .. } => Lasting::UntilAppEnds,
        Lasts { always: true, .. } => Lasting::Always,
        _ => Lasting::Once,
    }
}

/// The answer that a key gives.
pub(crate) fn answer_key(character: char) -> Option<(Choice, Lasting)> {
    let (allow, block) = (Choice::Allow, Choice::Block);
    Some(match character {
        'a' => (allow, Lasting::Once),
        'b' => (block, Lasting::Once),
        'w' => (allow, Lasting::Seconds(WHILE_S)),
        'W' => (block, Lasting::Seconds(WHILE_S)),
        'u' => (allow, Lasting::UntilAppEnds),
        'U' => (block, Lasting::UntilAppEnds),
        'A' => (allow, Lasting::Always),
        'B' => (block, Lasting::Always),
        _ => return None,
    })
}

/// What the answer of a key is about: as little as can be where it is given once, or else the whole app.
pub(crate) fn key_extent(lasting: Lasting, prompt: &Prompt) -> Extent {
    match lasting {
        Lasting::Once => prompt.usual_extent(),
        _ => Extent::App,
    }
}

/// Asked again, it would not be found.
pub(crate) fn give(answer: &AnswerPrompt, client: &Client) -> Result<Taken, ClientError> {
    client.send(Method::POST, "/v1/prompts/answer", Some(answer), SLOW, Repeat::Never)
}

/// Likewise.
pub(crate) fn dismiss(id: PromptId, client: &Client) -> Result<Prompts, ClientError> {
    let request = DismissPrompt { id };
    client.send(Method::POST, "/v1/prompts/dismiss", Some(&request), SLOW, Repeat::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_a_sensible_time() {
        let cases = [("10m", Some(600)), ("1s", Some(1)), ("30d", Some(2_592_000))];
        for (text, seconds) in cases {
            assert_eq!(length(text).ok().map(|length| length.as_secs()), seconds, "{text}");
        }
        for text in ["", "10", "0s", "400d", "always"] {
            assert!(length(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_is_about_as_little_as_it_can_be() {
        let list = |whole_app| {
            let prompt = Prompt { whole_app, ..words::sample() };
            Prompts { prompts: vec![prompt], answers: Vec::new() }
        };
        let id = words::sample().id;
        assert_eq!(usual_extent(id, &list(false)), Extent::AddressPort);
        assert_eq!(usual_extent(id, &list(true)), Extent::App);
    }
}
