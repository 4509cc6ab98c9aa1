//! The part of Rust's grammar that is needed to search code without comments, strings and tests.

use std::ops::Range;

/// Offsets at which `word` is mentioned, not as part of a longer name.
pub(crate) fn mentions(code: &str, word: &str) -> Vec<usize> {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let found = code.match_indices(word).filter(|(at, _)| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let joins_before = word.starts_with(is_name) && before.is_some_and(is_name);
        let joins_after = word.ends_with(is_name) && after.is_some_and(is_name);
        !joins_before && !joins_after
    });
    found.map(|(at, _)| at).collect()
}

/// The line of an offset, from 1.
pub(crate) fn line_at(code: &str, offset: usize) -> usize {
    code[..offset].matches('\n').count() + 1
}

/// Types that `use root::…;` brings into a file, under their own and their new names.
pub(crate) fn types_imported_from(root: &str, code: &str) -> Vec<String> {
    let statements = mentions(code, &format!("use {root}"));
    let statements = statements.into_iter().map(|at| until(code, at, &[';']));
    let words = statements.flat_map(|statement| {
        code[statement].split(|character: char| !character.is_alphanumeric() && character != '_')
    });
    let types = words.filter(|word| word.starts_with(char::is_uppercase));
    types.map(str::to_owned).collect()
}

/// The signatures that a line with `pub` gives to other crates, with their lines: signatures without bodies, enums and
/// traits with their bodies. This is a heuristic for formatted code: it includes items of private modules.
pub(crate) fn public_items(code: &str) -> Vec<(usize, &str)> {
    let mut items = Vec::new();
    for at in mentions(code, "pub ") {
        let is_at_line_start = code[..at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty());
        if !is_at_line_start {
            continue;
        }
        let declaration = &code[at + "pub ".len()..];
        let item = if ["enum ", "trait "].iter().any(|kind| declaration.starts_with(kind)) {
            block(code, at)
        } else if declaration.starts_with("struct ") {
            // Fields have their own lines. The public fields of a tuple begin with `pub` within its line.
            let header = until(code, at, &['{', ';']);
            let text = &code[header.clone()];
            match text.find('(') {
                Some(tuple) if !text.contains("(pub ") && !text.contains(", pub ") => at..at + tuple,
                _ => header,
            }
        } else if declaration.starts_with("use ") {
            until(code, at, &[';'])
        } else {
            until(code, at, &['{', ';', ',', '}'])
        };
        items.push((line_at(code, at), &code[item]));
    }
    items
}

/// Blanks everything under `#[cfg(test)]`.
pub(crate) fn without_tests(code: &str) -> String {
    let mut product = code.to_owned();
    for at in mentions(code, "#[cfg(test)]") {
        product = blanked(&product, block(code, at));
    }
    product
}

/// Blanks comments, strings and characters; keeps lines and columns.
pub(crate) fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let is_after_name = code.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let length = comment(rest)
            .or_else(|| if is_after_name { None } else { raw_string(rest) })
            .or_else(|| string(rest))
            .or_else(|| character_literal(rest));
        let taken = length.unwrap_or(character.len_utf8());
        match length {
            Some(length) => code.push_str(&blank(&rest[..length])),
            None => code.push(character),
        }
        rest = &rest[taken..];
    }
    code
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(text.len())
}

fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let after = &text[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(())?;
    let start = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = text[start..].find(&end).map(|at| start + at + end.len());
    Some(length.unwrap_or(text.len()))
}

fn string(text: &str) -> Option<usize> {
    text.starts_with('"').then_some(())?;
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// `'x'`, `'\n'`, `'\u{1F}'`, and not the lifetime `'x`.
fn character_literal(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        // The search starts at the third byte: the second may be an escaped quote.
        let end = inner.char_indices().skip(2).find(|(_, found)| *found == '\'');
        return end.map(|(at, _)| at + 2);
    }
    let character = inner.chars().next()?;
    let closes = inner[character.len_utf8()..].starts_with('\'');
    (closes && character != '\'').then_some(character.len_utf8() + 2)
}

/// From `start` to the first of `ends` outside of brackets, exclusive. Angle brackets count, arrows don't.
fn until(code: &str, start: usize, ends: &[char]) -> Range<usize> {
    let mut depth = 0;
    let mut previous = ' ';
    for (at, character) in code[start..].char_indices() {
        if depth == 0 && ends.contains(&character) {
            return start..start + at;
        }
        match character {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if previous == '-' || previous == '=' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => {}
        }
        previous = character;
    }
    start..code.len()
}

/// From `start` to the end of the first block, or to the first semicolon when that comes earlier.
fn block(code: &str, start: usize) -> Range<usize> {
    let mut depth = 0;
    for (at, character) in code[start..].char_indices() {
        match character {
            '{' | '[' | '(' => depth += 1,
            '}' if depth == 1 => return start..start + at + 1,
            '}' | ']' | ')' => depth -= 1,
            ';' if depth == 0 => return start..start + at + 1,
            _ => {}
        }
    }
    start..code.len()
}

fn blanked(code: &str, range: Range<usize>) -> String {
    let (before, after) = (&code[..range.start], &code[range.end..]);
    format!("{before}{}{after}", blank(&code[range]))
}

/// A blank for each byte, with the same lines.
fn blank(text: &str) -> String {
    let blank = text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' });
    blank.collect()
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r##"let a = "unsafe \" unsafe"; // unsafe
/* unsafe /* unsafe */ unsafe */ let b = r#"un"safe"#; let c = ('"', '\'', b'\\', '\u{1F}', 'é');
fn f<'a>(r: &'a str) { unsafe {} }"##;
    let code = without_comments_and_literals(text);
    assert_eq!(code.len(), text.len());
    let found = mentions(&code, "unsafe");
    assert_eq!(found.len(), 1, "{code}");
    assert_eq!(line_at(&code, found[0]), 3);
    assert!(code.contains("fn f<'a>(r: &'a str)"));
}

#[test]
fn a_mention_is_a_whole_name() {
    let code = "let operand = rand(); forbid(unsafe_code); f.await; awaiting.awaiting";
    assert_eq!(mentions(code, "rand").len(), 1);
    assert_eq!(mentions(code, "unsafe").len(), 0);
    assert_eq!(mentions(code, ".await").len(), 1);
}

#[test]
fn tests_are_no_product() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { c() }\n}\n#[cfg(test)]\nmod d;\nfn e() {}\n";
    let product = without_tests(code);
    assert_eq!(product.split_whitespace().collect::<String>(), "fna(){}fne(){}");
    assert_eq!(line_at(&product, mentions(&product, "e")[0]), 8);
}

#[test]
fn a_public_item_is_what_other_crates_see() {
    let code = "
use ractor::{Actor, ActorRef as Reference, port::Port};
pub struct Handle(ActorRef<Message>);
pub struct Open(pub ActorRef<Message>);
pub struct Fields<T> {
    private: ActorRef<T>,
    pub(crate) inner: ActorRef<T>,
    pub open: Vec<(u8, ActorRef<T>)>,
}
pub(crate) enum Message { Stop(ActorRef<()>) }
pub enum Event { Gone(ActorRef<()>) }
pub fn one(a: u8) -> Vec<u8> { ActorRef::new() }
pub fn two(
    a: Vec<u8>,
    b: impl Fn() -> ActorRef<()>,
) -> u8 {}
";
    let items = public_items(code).into_iter();
    let guilty = items.filter(|(_, item)| !mentions(item, "ActorRef").is_empty());
    let lines: Vec<usize> = guilty.map(|(line, _)| line).collect();
    assert_eq!(lines, [4, 8, 11, 13]);
    let imported = types_imported_from("ractor", code);
    assert_eq!(imported, ["Actor", "ActorRef", "Reference", "Port"]);
}
