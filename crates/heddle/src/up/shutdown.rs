//! Stopping everything in order: who is asked nothing more first.

use std::sync::Arc;
use std::time::Duration;

use runtime::Driver;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::programs::{Kind, Names, Stopping};
use super::ready;
use super::roles::Role;
use super::signals::Signals;
use crate::context::Context;
use crate::data::Data;
use crate::failure::Failure;
use crate::output::Output;

/// After so long it is said again what is waited for.
const REMIND: Duration = Duration::from_secs(5);

/// The router first, so that no request finds its Odoo gone; the worker, which
/// would start again what is stopped; control. Then what they ran.
const ORDER: [&str; 3] = ["router", "worker", "control"];

pub async fn run(
    context: &Context,
    driver: Arc<dyn Driver>,
    roles: Vec<Role>,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let output = context.output;
    let mut hurry = Hurry { output, signals, hastened: false };
    let tenants = if roles.is_empty() { Vec::new() } else { ready::tenants(&context.settings).await };
    let lineage = |tenant: protocol::api::Tenant| Some((tenant.lineage?.to_string(), tenant.name));
    let names = Names(tenants.into_iter().filter_map(lineage).collect());

    if !roles.is_empty() {
        output.note("\nStopping. Ctrl-C again does not wait for work under way.");
    }
    let mut roles = roles;
    for name in ORDER {
        if let Some(place) = roles.iter().position(|role| role.name() == name) {
            stop_role(roles.swap_remove(place), &mut hurry).await;
        }
    }
    let mut failures = Vec::new();
    for kind in [Kind::Odoo, Kind::Cluster, Kind::Management] {
        let stopping = Stopping::begin(Arc::clone(&driver), kind).await?;
        failures.extend(stop_programs(stopping, &names, &mut hurry).await);
    }
    let mut failures = failures.into_iter();
    match failures.next() {
        None => {
            Data::new(&context.settings.data).mark_stopped();
            Data::clear_sockets(&context.settings.run_dir);
            output.note("Nothing is left running.");
            Ok(())
        }
        Some(first) => {
            for other in failures {
                output.note(other.render(false));
            }
            Err(first)
        }
    }
}

/// Watches for the wish to be quicker while something is waited for.
struct Hurry<'a> {
    output: Output,
    signals: &'a mut Signals,
    hastened: bool,
}

impl Hurry<'_> {
    async fn wanted(&mut self) {
        if self.hastened {
            return std::future::pending().await;
        }
        self.signals.next().await;
        self.hastened = true;
        self.output.note("Not waiting for work under way any longer.");
    }
}

async fn stop_role(mut role: Role, hurry: &mut Hurry<'_>) {
    let name = role.name();
    let output = hurry.output;
    role.stop();
    if hurry.hastened {
        role.hasten();
    }
    let since = Instant::now();
    let mut remind = reminder();
    loop {
        tokio::select! {
            () = role.stopped() => return output.note(format!("stopped {name}")),
            _ = remind.tick() => output.note(waiting(name, since)),
            () = hurry.wanted() => role.hasten(),
        }
    }
}

async fn stop_programs(mut stopping: Stopping, names: &Names, hurry: &mut Hurry<'_>) -> Vec<Failure> {
    let output = hurry.output;
    let mut failures = Vec::new();
    if hurry.hastened {
        stopping.hasten().await;
    }
    let since = Instant::now();
    let mut remind = reminder();
    loop {
        tokio::select! {
            next = stopping.next() => match next {
                None => return failures,
                Some(Ok(id)) => output.note(format!("stopped {}", names.of(&id))),
                Some(Err(failure)) => failures.push(failure),
            },
            _ = remind.tick() => {
                let left: Vec<_> = stopping.left().iter().map(|id| names.of(id)).collect();
                output.note(waiting(&left.join(", "), since));
            }
            () = hurry.wanted() => stopping.hasten().await,
        }
    }
}

fn reminder() -> tokio::time::Interval {
    let mut remind = interval_at(Instant::now() + REMIND, REMIND);
    remind.set_missed_tick_behavior(MissedTickBehavior::Delay);
    remind
}

fn waiting(what: &str, since: Instant) -> String {
    format!("waiting for {what} ({} s)", since.elapsed().as_secs())
}
