//! `seawall monitor`: apps and connections as they come and go, and what waits for the user.
//!
//! On a terminal, the whole screen: a [`model`] that keys and answers change, and a
//! [`view`] that draws it; both are pure. Elsewhere, [`lines`]. What is asked for is
//! only what changed since the last answer, see `seawall_messages::datapath::Cursor`.

mod ask;
mod choice;
mod input;
mod known;
mod layout;
mod lines;
mod lists;
mod model;
mod position;
mod prompts;
#[cfg(test)]
mod sample;
mod screen;
mod text;
mod view;

use std::io::IsTerminal as _;

use crate::cli::Common;
use crate::client::ClientError;
use crate::verbs::Outcome;

/// Follows until it is told to end.
pub(crate) fn perform(plain: bool, once: bool, common: &Common) -> Result<Outcome, ClientError> {
    let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if plain || once || common.json || !is_terminal {
        return lines::follow(once, common);
    }
    screen::run(common)
}
