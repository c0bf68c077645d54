//! Invented names, streets and texts, drawn by dice that fall as a digest says.

/// Numbers that follow from a digest alone.
pub struct Dice(u64);

impl Dice {
    pub fn new(digest: [u8; 32]) -> Self {
        let (seed, _) = digest.split_at(8);
        Self(seed.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// SplitMix64: the digest is what nobody can guess, this only stretches it.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

const FIRST: [&str; 64] = [
    "Alma", "Arvid", "Basil", "Bela", "Cato", "Celia", "Cyrus", "Dario", "Delia", "Dora", "Edda", "Elio",
    "Elva", "Enno", "Esme", "Falk", "Fedor", "Flora", "Gero", "Gilda", "Gwen", "Hanno", "Hedda", "Hugo",
    "Ida", "Ilse", "Ines", "Ivar", "Jarl", "Jette", "Juno", "Kai", "Karla", "Kira", "Lars", "Lena", "Levi",
    "Lina", "Mika", "Milo", "Mona", "Nils", "Nora", "Odo", "Olga", "Orla", "Otis", "Petra", "Pia", "Quint",
    "Ralf", "Runa", "Sami", "Senta", "Silas", "Thea", "Tilda", "Ugo", "Ulla", "Vera", "Vito", "Wanda",
    "Xenia", "Yves",
];

const SYLLABLES: [&str; 48] = [
    "bar", "bel", "bor", "cal", "cor", "dal", "del", "dor", "el", "fal", "fen", "gar", "gel", "hal", "hol",
    "il", "jan", "kel", "kor", "lan", "lor", "mal", "mer", "mor", "nal", "ner", "nor", "ol", "pel", "por",
    "quil", "ral", "ren", "ros", "sal", "ser", "sol", "tal", "ter", "tor", "ul", "val", "ver", "vor", "wen",
    "wil", "yor", "zel",
];

const ENDINGS: [&str; 16] = [
    "an", "ard", "by", "den", "er", "gard", "in", "ler", "man", "nik", "os", "ric", "sen", "sky", "ton",
    "wick",
];

const WORDS: [&str; 96] = [
    "amber", "anchor", "apple", "arrow", "autumn", "basket", "beacon", "birch", "blanket", "bottle",
    "branch", "bridge", "bright", "bronze", "brook", "butter", "cabin", "candle", "canvas", "carpet",
    "castle", "cedar", "circle", "clover", "cobalt", "copper", "cotton", "cradle", "crystal", "curtain",
    "daisy", "desert", "distant", "drawer", "ember", "fabric", "feather", "fern", "field", "flint", "forest",
    "garden", "gentle", "ginger", "glass", "golden", "granite", "harbour", "hazel", "hollow", "honey",
    "island", "ivory", "jasmine", "kettle", "ladder", "lantern", "lemon", "linen", "maple", "marble",
    "meadow", "mellow", "mirror", "mortar", "mustard", "narrow", "needle", "north", "oak", "ocean", "olive",
    "orchard", "paper", "pebble", "pepper", "pillow", "plain", "quiet", "ribbon", "river", "saddle",
    "silver", "slate", "spring", "stone", "summer", "thimble", "timber", "valley", "velvet", "walnut",
    "willow", "window", "winter", "wool",
];

/// Without letters that are taken for others.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn surname(dice: &mut Dice) -> String {
    let middle = if dice.below(2) == 0 { "" } else { dice.one(&SYLLABLES) };
    capital(&format!("{}{middle}{}", dice.one(&SYLLABLES), dice.one(&ENDINGS)))
}

pub fn name(dice: &mut Dice) -> String {
    format!("{} {}", dice.one(&FIRST), surname(dice))
}

pub fn email(dice: &mut Dice) -> String {
    let name = name(dice).to_lowercase().replace(' ', ".");
    // Reserved by RFC 2606: nobody can receive there.
    let domain = dice.one(&["example.com", "example.net", "example.org"]);
    format!("{name}.{}@{domain}", token(dice, 8))
}

/// 555-0100 to 555-0199 are for fiction, in every area of North America.
pub fn phone(dice: &mut Dice, spaced: bool) -> String {
    let (area, last) = (200 + dice.below(800), dice.below(100));
    let space = if spaced { " " } else { "" };
    format!("+1{space}{area}{space}555{space}01{last:02}")
}

pub fn street(dice: &mut Dice) -> String {
    let kind = dice.one(&["Street", "Road", "Lane", "Way", "Square", "Row"]);
    format!("{} {} {kind}", dice.below(240) + 1, capital(dice.one(&WORDS)))
}

pub fn city(dice: &mut Dice) -> String {
    let ending = dice.one(&["ford", "ham", "haven", "mouth", "stad", "ville", "worth"]);
    capital(&format!("{}{}{ending}", dice.one(&SYLLABLES), dice.one(&SYLLABLES)))
}

pub fn words(dice: &mut Dice, count: usize) -> String {
    let words: Vec<&str> = (0..count.max(2)).map(|_| dice.one(&WORDS)).collect();
    capital(&words.join(" "))
}

/// About so many characters.
pub fn text(dice: &mut Dice, length: usize) -> String {
    let mut text = capital(dice.one(&WORDS));
    let mut sentence = 1;
    while text.len() < length {
        if sentence > 6 && dice.below(4) == 0 {
            text += ". ";
            text += &capital(dice.one(&WORDS));
            sentence = 1;
        } else {
            text.push(' ');
            text += dice.one(&WORDS);
            sentence += 1;
        }
    }
    text
}

pub fn token(dice: &mut Dice, length: usize) -> String {
    (0..length).map(|_| char::from(LETTERS[dice.below(32) as usize])).collect()
}

/// Each digit and letter becomes another of its kind; all else stays.
pub fn same_shape(dice: &mut Dice, value: &str) -> String {
    let letter = |dice: &mut Dice, first: u8| char::from(first + dice.below(26) as u8);
    let masked = value.chars().map(|c| match c {
        '0'..='9' => char::from(b'0' + dice.below(10) as u8),
        'A'..='Z' => letter(dice, b'A'),
        c if c.is_alphanumeric() => letter(dice, b'a'),
        c => c,
    });
    masked.collect()
}
