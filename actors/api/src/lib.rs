//! HTTP and JSON on a Unix socket, for the command; Prometheus metrics on loopback.
//!
//! - Owns: its two listeners, which the keeper holds beyond a worker's death.
//! - Receives: connections, from its own accept loops ([`Message`]).
//! - Publishes: nothing.
//! - Asks: `policy`, `datapath`, `process`, `prompt` and `verdict`.
//! - While it is down, nobody can look or reload; traffic doesn't notice.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`seawall_messages::api::Status`] |
//! | `GET /v1/components` | [`seawall_messages::api::Components`] |
//! | `GET /v1/connections?limit=` | [`seawall_messages::api::Connections`] |
//! | `GET /v1/changes?feed=&number=&moves=` | [`seawall_messages::api::Changes`] |
//! | `GET /v1/apps` | [`seawall_messages::api::Apps`] |
//! | `GET /v1/network` | [`seawall_messages::network::NetworkAnswer`] |
//! | `POST /v1/explain` | [`seawall_messages::explain::Explanation`] of an [`seawall_messages::explain::Explain`] |
//! | `GET /v1/adopted` | [`seawall_messages::api::AdoptedList`] |
//! | `DELETE /v1/adopted/{id}` | the entries that are left |
//! | `POST /v1/reload` | [`seawall_messages::api::Reloaded`]; 409 where the file is refused |
//! | `POST /v1/rules` | [`seawall_messages::api::RuleAdded`]; root only; 400 where it is no rule, 409 where it can't be added |
//! | `GET /v1/prompts` | [`seawall_messages::prompt::Prompts`] |
//! | `POST /v1/prompts/answer` | [`seawall_messages::prompt::Taken`], of an [`seawall_messages::prompt::AnswerPrompt`]; root only; 404, 400 or 409 where it is not taken |
//! | `POST /v1/prompts/dismiss` | the prompts that are left, of a [`seawall_messages::prompt::DismissPrompt`]; root only |
//! | `POST /v1/fault` | builds with fault injection only; root only |
//!
//! Whoever may open the socket (root and the group `seawall`, by its file
//! mode) may use the API, but for what is root's alone. Every other answer carries an
//! [`seawall_messages::api::ErrorBody`].

mod actor;
mod assessment;
mod error;
mod events;
mod explain;
mod metrics;
mod network;
mod pause;
mod prompts;
mod routes;
mod rules;
mod scrape;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use self::{
    actor::{Api, Arguments, Listeners, Message, Services},
    events::describe_metrics,
    metrics::{Metrics, MetricsError, install as install_metrics},
};
