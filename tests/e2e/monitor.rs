//! `seawall monitor` on a real terminal, and rules that are added while all goes on.
//!
//! Whole screens lie in `screens/`, without what varies: numbers, ages, graphs. After a
//! wanted change, `RENEW_SCREENS=1` in the environment has them written anew.

mod monitor {
    pub(crate) mod common;
    pub(crate) mod lines;
    pub(crate) mod prompts;
    pub(crate) mod rules;
    pub(crate) mod screens;
}
