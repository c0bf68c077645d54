//! Control's operations against a real PostgreSQL.

mod access;
mod alerts;
mod approvals;
mod audit;
mod history;
mod inputs;
mod maintenance;
#[path = "../../../database/tests/it/older.rs"]
#[allow(dead_code)]
mod older;
mod peeks;
mod people;
mod platform;
mod queue;
mod reconcile;
mod retention;
mod routes;
mod schedules;
#[path = "../../../database/tests/it/scratch.rs"]
#[allow(dead_code)]
mod scratch;
mod secrets;
mod tenants;
mod upgrade;
