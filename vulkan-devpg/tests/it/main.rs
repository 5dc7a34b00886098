//! Real clusters on this machine.

mod databases; // Databases of one's own, and copies of one.
mod faults; // A server that crashes, and one that does not start.
mod killed; // What is left of a process that did not say goodbye.
mod named_server; // DATABASE_URL.
mod start; // A cluster starts, answers and stops.

mod support;
