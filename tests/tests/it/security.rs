//! Who may do what, and what nobody may.

/// The programs of a deployment, each with its role.
mod at_work;
/// What no error, log line or `Debug` shows.
mod canary;
/// `create_roles()`: by whom, twice, in two databases at once.
mod create_roles;
/// What runs with the rights of the owner: where it looks for names, and for whom it is.
mod definer;
/// The SQL of the guide, with roles of other names.
mod guide;
/// How much of what an event may have: at the limit, and one above.
mod limits;
/// Every table and function, for every role.
mod matrix;
/// Hostile names through everything that takes one.
mod names;
/// What an attacker puts in the way of what runs with the rights of the owner.
mod traps;

/// Databases with roles, and logins that have them.
mod support;
