//! Amounts of documents that belong together are multiplied by one factor, and
//! are written with all the decimals that gives. So every sum and difference
//! among them holds as it did: moves balance, residuals are what payments left,
//! totals agree with their lines. Nothing has to be rounded and mended.

use std::collections::HashMap;

use futures::TryStreamExt;
use tokio_postgres::Client;

use crate::catalog::Catalog;
use crate::database::DatabaseError;
use crate::mask::Key;
use crate::neutralise::has;

/// Tables with amounts, the column that names what a row belongs to, and what
/// sort of thing that is.
const BELONGS: [(&str, &str, char); 15] = [
    ("account_move", "id", 'm'),
    ("account_move_line", "move_id", 'm'),
    ("account_bank_statement_line", "move_id", 'm'),
    ("account_partial_reconcile", "id", 'r'),
    ("account_payment", "id", 'y'),
    ("account_bank_statement", "id", 't'),
    ("account_analytic_line", "id", 'n'),
    ("stock_valuation_layer", "id", 'v'),
    ("sale_order", "id", 's'),
    ("sale_order_line", "order_id", 's'),
    ("sale_order_option", "order_id", 's'),
    ("purchase_order", "id", 'p'),
    ("purchase_order_line", "order_id", 'p'),
    ("payment_transaction", "id", 'x'),
    ("crm_lead", "id", 'l'),
];

/// What belongs together: needed columns, and pairs of things.
const LINKS: [(&[&str], char, char, &str); 12] = [
    (
        &["account_partial_reconcile.debit_move_id"],
        'm',
        'm',
        "SELECT d.move_id, c.move_id FROM account_partial_reconcile p \
         JOIN account_move_line d ON d.id = p.debit_move_id JOIN account_move_line c ON c.id = p.credit_move_id",
    ),
    (
        &["account_partial_reconcile.debit_move_id"],
        'r',
        'm',
        "SELECT p.id, d.move_id FROM account_partial_reconcile p \
         JOIN account_move_line d ON d.id = p.debit_move_id",
    ),
    (
        &["account_move.reversed_entry_id"],
        'm',
        'm',
        "SELECT id, reversed_entry_id FROM account_move WHERE reversed_entry_id IS NOT NULL",
    ),
    (
        &["account_move.tax_cash_basis_origin_move_id"],
        'm',
        'm',
        "SELECT id, tax_cash_basis_origin_move_id FROM account_move \
         WHERE tax_cash_basis_origin_move_id IS NOT NULL",
    ),
    (
        &["account_payment.move_id"],
        'y',
        'm',
        "SELECT id, move_id FROM account_payment WHERE move_id IS NOT NULL",
    ),
    (
        &["account_move__account_payment.invoice_id"],
        'y',
        'm',
        "SELECT payment_id, invoice_id FROM account_move__account_payment",
    ),
    (
        &["account_bank_statement_line.statement_id", "account_bank_statement_line.move_id"],
        't',
        'm',
        "SELECT statement_id, move_id FROM account_bank_statement_line WHERE statement_id IS NOT NULL",
    ),
    (
        &["sale_order_line_invoice_rel.order_line_id"],
        's',
        'm',
        "SELECT o.order_id, i.move_id FROM sale_order_line_invoice_rel r \
         JOIN sale_order_line o ON o.id = r.order_line_id JOIN account_move_line i ON i.id = r.invoice_line_id",
    ),
    (
        &["account_move_line.purchase_line_id"],
        'p',
        'm',
        "SELECT o.order_id, i.move_id FROM account_move_line i \
         JOIN purchase_order_line o ON o.id = i.purchase_line_id",
    ),
    (
        &["account_analytic_line.move_line_id"],
        'n',
        'm',
        "SELECT a.id, l.move_id FROM account_analytic_line a JOIN account_move_line l ON l.id = a.move_line_id",
    ),
    (
        &["stock_valuation_layer.account_move_id"],
        'v',
        'm',
        "SELECT id, account_move_id FROM stock_valuation_layer WHERE account_move_id IS NOT NULL",
    ),
    (
        &["account_payment.payment_transaction_id"],
        'x',
        'y',
        "SELECT payment_transaction_id, id FROM account_payment WHERE payment_transaction_id IS NOT NULL",
    ),
];

/// The column that says what the rows of a table belong to.
pub fn belongs(table: &str) -> Option<(&'static str, char)> {
    BELONGS.iter().find(|(name, ..)| *name == table).map(|(_, column, sort)| (*column, *sort))
}

type Thing = (char, i64);

/// Which things belong together; those that stand alone are not in it.
#[derive(Debug, Default)]
pub struct Amounts {
    numbers: HashMap<Thing, u32>,
    /// What each was joined to; itself at the end.
    parents: Vec<u32>,
}

impl Amounts {
    /// Reads it with whatever snapshot the connection has.
    pub async fn read(client: &Client, catalog: &Catalog) -> Result<Self, DatabaseError> {
        let mut amounts = Self::default();
        for (needs, one, other, sql) in LINKS {
            if !needs.iter().all(|need| has(catalog, need)) {
                continue;
            }
            // The names are those of `public`, whatever the search path.
            let failed = |source| DatabaseError::Ask("read which amounts belong together".into(), source);
            client.batch_execute("SET LOCAL search_path = public, pg_catalog").await.map_err(failed)?;
            let no_parameters: [i32; 0] = [];
            let mut rows = Box::pin(client.query_raw(sql, no_parameters).await.map_err(failed)?);
            while let Some(row) = rows.try_next().await.map_err(failed)? {
                let (a, b): (i32, i32) = (row.get(0), row.get(1));
                amounts.join((one, a.into()), (other, b.into()));
            }
            client.batch_execute("SET LOCAL search_path = pg_catalog").await.map_err(failed)?;
        }
        Ok(amounts)
    }

    fn join(&mut self, one: Thing, other: Thing) {
        let (one, other) = (self.number(one), self.number(other));
        let (one, other) = (self.root(one), self.root(other));
        self.parents[one.max(other) as usize] = one.min(other);
    }

    fn number(&mut self, thing: Thing) -> u32 {
        let next = self.parents.len() as u32;
        let number = *self.numbers.entry(thing).or_insert(next);
        if number == next {
            self.parents.push(next);
        }
        number
    }

    fn root(&mut self, mut number: u32) -> u32 {
        while self.parents[number as usize] != number {
            // Each look makes the way shorter.
            let above = self.parents[self.parents[number as usize] as usize];
            self.parents[number as usize] = above;
            number = above;
        }
        number
    }

    /// In thousandths, 800 to 1200 and never 1000.
    pub fn factor(&self, key: &Key, thing: Thing) -> i128 {
        let name = match self.numbers.get(&thing) {
            Some(&number) => {
                let mut root = number;
                while self.parents[root as usize] != root {
                    root = self.parents[root as usize];
                }
                format!("joined {root}")
            }
            None => format!("{} {}", thing.0, thing.1),
        };
        let [high, low, ..] = key.digest("amount", 0, &name);
        let factor = 800 + i128::from(u16::from_be_bytes([high, low]) % 400);
        if factor >= 1000 { factor + 1 } else { factor }
    }
}

/// A decimal number times thousandths, exactly; None: it is no such number.
pub fn multiply(value: &str, thousandths: i128) -> Option<String> {
    let (sign, digits) = value.strip_prefix('-').map_or(("", value), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        // Of a floating number, as 1e-05.
        let number: f64 = value.parse().ok().filter(|number: &f64| number.is_finite())?;
        return Some((number * thousandths as f64 / 1000.0).to_string());
    }
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let product = number.checked_mul(thousandths)?;
    let places = fraction.len() + 3;
    let digits = format!("{product:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_belongs_together_has_one_factor() {
        let mut amounts = Amounts::default();
        for (one, other) in [(1, 2), (3, 4), (2, 3), (5, 6)] {
            amounts.join(('m', one), ('m', other));
        }
        amounts.join(('s', 1), ('m', 6));
        let key = Key::of([3; 32]);
        let factor = |thing| amounts.factor(&key, thing);
        assert_eq!(factor(('m', 1)), factor(('m', 4)));
        assert_eq!(factor(('s', 1)), factor(('m', 5)));
        let alone: std::collections::HashSet<i128> = (100..200).map(|id| factor(('m', id))).collect();
        assert!(alone.len() > 50 && alone.iter().all(|one| (800..=1200).contains(one) && *one != 1000));
    }

    #[test]
    fn numbers_are_multiplied_exactly() {
        for (value, thousandths, wanted) in [
            ("100.00", 873, "87.3"),
            ("-0.01", 1200, "-0.012"),
            ("0", 900, "0"),
            ("0.00", 900, "0"),
            ("12345678901234567890.12", 1001, "12358024580135802458.01012"),
            ("7", 1000, "7"),
        ] {
            assert_eq!(multiply(value, thousandths).as_deref(), Some(wanted), "{value}");
        }
        assert_eq!(multiply("1e-05", 1200).as_deref(), Some("0.000012"));
        for bad in ["", "-", "NaN", "abc", "Infinity"] {
            assert_eq!(multiply(bad, 900), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn sums_stay_sums(cents in prop::collection::vec(-1_000_000_000i64..1_000_000_000, 1..20), factor in 800i128..1200) {
            let text = |cents: i64| {
                let sign = if cents < 0 { "-" } else { "" };
                format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
            };
            // In hundred-thousandths.
            let read = |text: &str| {
                let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
                let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
                sign * format!("{whole}{fraction:0<5}").parse::<i128>().unwrap()
            };
            let scaled = |cents: i64| read(&multiply(&text(cents), factor).unwrap());
            let total: i64 = cents.iter().sum();
            prop_assert_eq!(cents.iter().map(|&one| scaled(one)).sum::<i128>(), scaled(total));
        }
    }
}
