//! Whose connection it is.
