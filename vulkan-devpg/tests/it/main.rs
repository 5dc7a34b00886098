//! Real clusters on this machine.

mod start;
