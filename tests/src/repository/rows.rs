//! Partners and messages as Odoo has them: text that compresses as text does.
//! The same seed gives the same rows.

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::Client;

const WORDS: usize = 4000;

/// What goes over the connection at once.
const PIECE: usize = 256 * 1024;

const PARTNERS: &str = "COPY res_partner (name, display_name, active, type, customer, street, zip, city, email, \
                        phone, comment, create_date, write_date) FROM STDIN";
const MESSAGES: &str = "COPY mail_message (subject, body, message_id, message_type, model, res_id, record_name, \
                        email_from, reply_to, date, create_date, write_date) FROM STDIN";

/// Bytes of a row as PostgreSQL has it, with its part of the indexes.
const PARTNER: u64 = 560;
const MESSAGE: u64 = 1_560;

/// Of six rows, one is a partner.
const OF_EACH: u64 = PARTNER + 5 * MESSAGE;

pub struct Rows {
    state: u64,
    words: Vec<String>,
    serial: u64,
}

impl Rows {
    pub fn new(seed: u64) -> Self {
        let mut rows =
            Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, words: Vec::new(), serial: 0 };
        // The language is one, whoever writes in it.
        let mut language = Self { state: 4711, words: Vec::new(), serial: 0 };
        rows.words = (0..WORDS).map(|_| language.word()).collect();
        rows
    }

    /// About so many bytes of rows, in one transaction for each table.
    pub async fn add(&mut self, client: &Client, bytes: u64) -> Result<()> {
        let count = (bytes / OF_EACH).max(1);
        self.copy(client, PARTNERS, count, Self::partner).await?;
        self.copy(client, MESSAGES, count * 5, Self::message).await
    }

    async fn copy(
        &mut self,
        client: &Client,
        sql: &str,
        count: u64,
        row: impl Fn(&mut Self, &mut String),
    ) -> Result<()> {
        let sink = client.copy_in::<_, Bytes>(sql).await.with_context(|| format!("begin {sql}"))?;
        let mut sink = std::pin::pin!(sink);
        let mut text = String::with_capacity(PIECE + 8192);
        for number in 1..=count {
            row(self, &mut text);
            if text.len() >= PIECE || number == count {
                sink.send(Bytes::from(std::mem::take(&mut text))).await.context("send rows")?;
                text.reserve(PIECE + 8192);
            }
        }
        sink.finish().await.context("end the rows")?;
        Ok(())
    }

    fn partner(&mut self, text: &mut String) {
        self.serial += 1;
        let (one, two) = (self.pick().to_owned(), self.pick().to_owned());
        let (street, city) = (self.pick().to_owned(), self.pick().to_owned());
        let (number, phone, date) = (self.below(200), self.below(100_000_000), self.date());
        let comment = self.sentence(12);
        let serial = self.serial;
        *text += &format!(
            "{one} {two} {serial}\t{one} {two} {serial}\tt\tcontact\tt\t{number} {street} street\t{}\t{city}\t\
             {one}.{two}{serial}@{city}.example\t+33 {phone}\t{comment}\t{date}\t{date}\n",
            10_000 + number * 97
        );
    }

    fn message(&mut self, text: &mut String) {
        self.serial += 1;
        let (date, record) = (self.date(), self.below(20_000));
        let (one, two) = (self.pick().to_owned(), self.pick().to_owned());
        let subject = self.sentence(6);
        *text += &format!("{subject}\t");
        for _ in 0..8 {
            *text += &format!("<p>{}</p>", self.sentence(20));
        }
        let (id, serial) = (self.random(), self.serial);
        *text += &format!(
            "\t<{id:016x}.{serial}.openerp-{record}-crm.lead@{one}>\tcomment\tcrm.lead\t{record}\t{subject}\t\
             \"{one} {two}\" <{one}@{two}.example>\t<{two}@{one}.example>\t{date}\t{date}\t{date}\n"
        );
    }

    fn sentence(&mut self, words: usize) -> String {
        let mut text = String::new();
        for number in 0..words {
            if number > 0 {
                text.push(' ');
            }
            text.push_str(self.pick());
        }
        text.push('.');
        text
    }

    /// A few words are in every sentence, most are rare.
    fn pick(&mut self) -> &str {
        let part = (self.random() >> 11) as f64 / (1_u64 << 53) as f64;
        &self.words[(part * part * part * WORDS as f64) as usize]
    }

    fn word(&mut self) -> String {
        const CONSONANTS: &[u8] = b"bcdfghlmnprstvz";
        const VOWELS: &[u8] = b"aeiou";
        let syllables = 1 + self.below(4);
        let mut word = String::new();
        for _ in 0..syllables {
            word.push(char::from(CONSONANTS[self.below(CONSONANTS.len() as u64) as usize]));
            word.push(char::from(VOWELS[self.below(VOWELS.len() as u64) as usize]));
        }
        word
    }

    fn date(&mut self) -> String {
        let (month, day) = (1 + self.below(12), 1 + self.below(28));
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        format!("2025-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:06}", self.below(1_000_000))
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.random() >> 33) % bound
    }

    /// Bytes that nothing compresses.
    pub fn noise(&mut self, length: usize) -> Vec<u8> {
        let words = (0..length.div_ceil(8)).flat_map(|_| self.random().to_le_bytes());
        words.take(length).collect()
    }

    fn random(&mut self) -> u64 {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_rows_and_a_row_has_its_columns() {
        let write = |seed| {
            let (mut rows, mut text) = (Rows::new(seed), String::new());
            for _ in 0..50 {
                rows.partner(&mut text);
                rows.message(&mut text);
            }
            text
        };
        assert_eq!(write(1), write(1));
        assert_ne!(write(1), write(2));
        let columns =
            |sql: &str| sql.split('(').nth(1).unwrap().split(')').next().unwrap().split(',').count();
        for (number, line) in write(3).lines().enumerate() {
            let wanted = columns(if number % 2 == 0 { PARTNERS } else { MESSAGES });
            assert_eq!(line.split('\t').count(), wanted, "{line}");
        }
    }
}
