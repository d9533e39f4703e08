//! The house rules, as tests: which crate may import which, what every folder
//! holds, what no file contains. A rule that nothing checks is a wish.

mod documents;
mod files;
mod layers;
mod manifest;
mod source;
