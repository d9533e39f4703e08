//! The command as people and shells meet it: explanations, terminals, manual
//! pages, completions, and what dashboards and alerts read.

#[path = "command/completions.rs"]
mod completions;
#[path = "command/explain.rs"]
mod explain;
#[path = "command/manual.rs"]
mod manual;
#[path = "command/monitoring.rs"]
mod monitoring;
#[path = "command/rules.rs"]
mod rules;
#[path = "command/terminal.rs"]
mod terminal;
