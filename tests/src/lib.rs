//! Heddle used as people use it: the binary, a browser and HTTP clients, with
//! the real PostgreSQL and the real Odoo behind it. Nothing in here knows
//! Heddle's insides but where its data folder keeps a cell's socket.

pub mod bench;
pub mod console;
pub mod house;
pub mod live;
pub mod load;
pub mod platform;
pub mod rpc;
pub mod state;
pub mod table;
pub mod walk;
