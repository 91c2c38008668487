//! Text with shifts: what of it is ASCII outside of them, and where that stands in the source.

/// ASCII that stands in the source byte for byte, outside of any shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    text: usize,
    source: usize,
    length: usize,
    /// The byte at its start ends a run of base64, which others would go on with.
    ends_base64: bool,
}

/// More runs would take more memory than a scan may have.
const MAX_RUNS: usize = 4 << 20;

/// What the decoder of a charset with shifts has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs {
    all: Vec<Run>,
}

impl Runs {
    /// The bytes that a range of the text came from, if ASCII can stand in their place.
    pub(super) fn range(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let first = self.at(start).filter(|run| !run.ends_base64 || run.text < start)?;
        let from = first.source + start - first.text;
        // What ends a shift behind the range goes with it if the shift began inside.
        let last = end.checked_sub(1).and_then(|last| self.at(last));
        let to = match last {
            Some(run) if end <= run.text + run.length => run.source + end - run.text,
            _ => self.at(end).filter(|run| run.text == end)?.source,
        };
        Some((from, to.max(from)))
    }

    /// Where text that begins with a line break or a `<` can be put in.
    pub(super) fn insertion(&self, at: usize) -> Option<usize> {
        self.at(at).map(|run| run.source + at - run.text)
    }

    /// The run that begins with a character of the text, or has it inside.
    fn at(&self, text: usize) -> Option<Run> {
        let after = self.all.partition_point(|run| run.text <= text);
        let run = self.all.get(after.checked_sub(1)?)?;
        (text == run.text || text < run.text + run.length).then_some(*run)
    }
}

/// What the decoder of a charset with shifts writes.
#[derive(Debug)]
pub(super) struct ShiftedText {
    text: String,
    runs: Vec<Run>,
    /// U+FFFD stands for a character that others can read.
    pub(super) has_unread: bool,
}

impl ShiftedText {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), runs: Vec::new(), has_unread: false }
    }

    /// The text and the way back, if that does not take too much memory.
    pub(super) fn finish(mut self, ends_in_ascii: bool, source: usize) -> Option<(String, Runs)> {
        if ends_in_ascii {
            self.begin_run(source, false);
        }
        let Self { text, runs, .. } = self;
        (runs.len() <= MAX_RUNS).then_some((text, Runs { all: runs }))
    }

    /// A byte that is ASCII, outside of any shift.
    pub(super) fn push_ascii(&mut self, source: usize, byte: u8) {
        let goes_on = self.runs.last().is_some_and(|run| {
            run.text + run.length == self.text.len() && run.source + run.length == source
        });
        if !goes_on {
            self.begin_run(source, false);
        }
        if let Some(run) = self.runs.last_mut() {
            run.length += 1;
        }
        self.text.push(char::from(byte));
    }

    /// A byte that is ASCII, and ends base64 before it.
    pub(super) fn push_terminator(&mut self, source: usize, byte: u8) {
        self.begin_run(source, true);
        self.push_ascii(source, byte);
    }

    /// A character in whose place nothing can be put in.
    pub(super) fn push(&mut self, character: char) {
        self.text.push(character);
    }

    /// A character of a set that is not known here.
    pub(super) fn push_unread(&mut self) {
        self.has_unread = true;
        self.push(char::REPLACEMENT_CHARACTER);
    }

    fn begin_run(&mut self, source: usize, ends_base64: bool) {
        if self.runs.len() <= MAX_RUNS {
            self.runs.push(Run { text: self.text.len(), source, length: 0, ends_base64 });
        }
    }
}
