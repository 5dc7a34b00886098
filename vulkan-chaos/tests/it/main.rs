//! The program as people run it, and what it leaves behind: nothing.

mod killed;
mod script;
mod support;
mod terminal;
