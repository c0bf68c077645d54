//! The schema and its queries against a real PostgreSQL.

mod approvals;
mod audit;
mod matrix;
mod migrations;
mod older;
mod people;
mod rights;
mod scratch;
mod secrets;
mod statements;
mod states;
mod upgrade;
