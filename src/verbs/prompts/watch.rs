//! `seawall prompts watch`: each prompt as it comes, answered with one key.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use seawall_messages::prompt::{
    AnswerPrompt, Choice, Lasting, Prompt, PromptId, PromptState, Prompts,
};

use super::{Outcome, answer_key, dismiss, give, key_extent, words};
use crate::client::{Client, ClientError};
use crate::output::{self, Style};

/// How often it is looked for new prompts.
const LOOK: Duration = Duration::from_millis(500);

const KEYS: &str = "  a allow once   w allow the app for 10m   u allow the app until it ends   A allow the app always
  b block once   W block the app for 10m   U block the app until it ends   B block the app always
  d dismiss      s skip      q quit";

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// Answers.
    Answer(Choice, Lasting),
    Dismiss,
    Skip,
    Quit,
}

/// A terminal that gives each key at once, and shows none. Put back as it was when dropped.
struct Keys {
    before: Termios,
}

impl Keys {
    fn open() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut own = before.clone();
        // Interrupts are keys, too: nothing else would put the terminal back.
        own.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &own)?;
        Ok(Self { before })
    }

    /// Keys that were pressed before there was something to answer are meant for nothing.
    fn forget(&self) -> io::Result<()> {
        while event::poll(Duration::ZERO)? {
            event::read()?;
        }
        Ok(())
    }

    /// What is pressed before the next look, if anything is.
    fn next(&self) -> io::Result<Option<Key>> {
        if !event::poll(LOOK)? {
            return Ok(None);
        }
        let Event::Key(key) = event::read()? else { return Ok(None) };
        let is_interrupt = key.modifiers.contains(KeyModifiers::CONTROL);
        Ok(match key.code {
            _ if key.kind == KeyEventKind::Release => None,
            KeyCode::Char('c' | 'd') if is_interrupt => Some(Key::Quit),
            KeyCode::Char(character) => meaning(character),
            KeyCode::Esc => Some(Key::Quit),
            _ => None,
        })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

pub(super) fn perform(client: &Client) -> Result<Outcome, ClientError> {
    if !io::stdin().is_terminal() {
        output::complaint("prompts watch needs a terminal; `seawall prompts answer` does not");
        return Ok(Outcome::Misused);
    }
    let keys = Keys::open().map_err(broken)?;
    let mut skipped = HashSet::new();
    let mut shown = None;
    output::line("waiting for prompts; q quits");
    loop {
        let list: Prompts = client.get("/v1/prompts")?;
        let next = next(&list, &skipped);
        if let Some(prompt) = next.filter(|prompt| shown != Some(prompt.id)) {
            show(prompt);
            keys.forget().map_err(broken)?;
        } else if next.is_none() && shown.is_some() {
            output::line("nothing else waits");
        }
        shown = next.map(|prompt| prompt.id);
        match (keys.next().map_err(broken)?, next) {
            (Some(Key::Quit), _) => return Ok(Outcome::Done),
            (Some(Key::Skip), Some(prompt)) => {
                skipped.insert(prompt.id);
            }
            (Some(Key::Dismiss), Some(prompt)) => {
                say(dismiss(prompt.id, client).map(|_| "dismissed".to_owned()))?;
            }
            (Some(Key::Answer(choice, lasting)), Some(prompt)) => {
                let answer = answer(prompt, choice, lasting);
                say(give(&answer, client).map(|taken| words::taken(&answer, &taken)))?;
            }
            _ => {}
        }
    }
}

/// The first prompt that waits and was not skipped.
fn next<'a>(list: &'a Prompts, skipped: &HashSet<PromptId>) -> Option<&'a Prompt> {
    let waits = |prompt: &&Prompt| matches!(prompt.state, PromptState::Waits { .. });
    list.prompts.iter().filter(waits).find(|prompt| !skipped.contains(&prompt.id))
}

fn answer(prompt: &Prompt, choice: Choice, lasting: Lasting) -> AnswerPrompt {
    AnswerPrompt { id: prompt.id, choice, extent: key_extent(lasting, prompt), lasting }
}

fn show(prompt: &Prompt) {
    let (style, state) = words::state(prompt, SystemTime::now());
    let asker = format!("[{}] {}", prompt.id.0, words::asker(prompt));
    let what = format!(" {} ", words::what(prompt));
    let (asker, what) = (output::one_line(&asker), output::one_line(&what));
    output::line("");
    output::styled_line(&[(Style::Strong, &asker), (Style::Plain, &what), (style, &state)]);
    output::line(KEYS);
}

/// An answer that is refused is told, and the next key may be another.
fn say(done: Result<String, ClientError>) -> Result<(), ClientError> {
    match done {
        Ok(text) => output::line(text),
        Err(ClientError::Refused(why) | ClientError::Unable(why)) => output::complaint(why),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn meaning(character: char) -> Option<Key> {
    match character {
        'd' => Some(Key::Dismiss),
        's' => Some(Key::Skip),
        'q' => Some(Key::Quit),
        other => answer_key(other).map(|(choice, lasting)| Key::Answer(choice, lasting)),
    }
}

fn broken(source: io::Error) -> ClientError {
    ClientError::Broken { doing: "read keys from the terminal", source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use seawall_messages::prompt::Extent;

    use super::*;

    #[test]
    fn every_key_that_is_shown_means_something() {
        let shown = KEYS.split_whitespace().filter(|word| word.len() == 1);
        let shown: Vec<char> = shown.filter_map(|word| word.chars().next()).collect();
        assert_eq!(shown.len(), 11, "{shown:?}");
        assert!(shown.iter().all(|character| meaning(*character).is_some()));
        assert_eq!(meaning('x'), None);
    }

    #[test]
    fn what_waits_and_was_not_skipped_is_next() {
        let missed = PromptState::Missed { since: SystemTime::UNIX_EPOCH };
        let list = Prompts {
            prompts: vec![
                Prompt { id: PromptId(1), state: missed, ..words::sample() },
                words::sample(),
                Prompt { id: PromptId(9), ..words::sample() },
            ],
            answers: Vec::new(),
        };
        let id = |skipped: &[u64]| {
            let skipped = skipped.iter().map(|id| PromptId(*id)).collect();
            next(&list, &skipped).map(|prompt| prompt.id.0)
        };
        assert_eq!((id(&[]), id(&[3]), id(&[3, 9])), (Some(3), Some(9), None));
        let once = answer(&words::sample(), Choice::Allow, Lasting::Once);
        assert_eq!(once.extent, Extent::AddressPort);
        let always = answer(&words::sample(), Choice::Allow, Lasting::Always);
        assert_eq!(always.extent, Extent::App);
    }
}
