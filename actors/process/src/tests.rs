//! The component in a supervision tree.
