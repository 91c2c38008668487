//! TOML for Python: values as Python has them, and the line of each key.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use toml::de::{DeTable, DeValue};

use super::without_gil;
use crate::toml::{self as reader, Document, Lines};

/// Line, key, words, and the key or table that was not read.
type Fault = (usize, Py<PyTuple>, String, Option<Py<PyTuple>>);

/// A text → its members, the line of each key and array item, and its faults.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub(super) fn read_toml<'py>(
    py: Python<'py>,
    text: &str,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>, Vec<Fault>)> {
    let Document { rest, spoiled, faults } = without_gil(py, text.len(), || reader::judge(text));
    let (table, _) = DeTable::parse_recoverable(&rest);
    let found = TableReader { lines: Lines::of(&rest), spoiled, places: PyDict::new(py) };
    let members = found.read_table(table.get_ref(), &PyTuple::empty(py))?;
    let faults = faults.into_iter().map(|fault| {
        let key = PyTuple::new(py, fault.key)?.unbind();
        let unread = fault.unread.map(|path| PyTuple::new(py, path)).transpose()?;
        Ok((fault.line, key, fault.text, unread.map(Bound::unbind)))
    });
    Ok((members, found.places, faults.collect::<PyResult<_>>()?))
}

struct TableReader<'py> {
    lines: Lines,
    spoiled: Vec<usize>,
    places: Bound<'py, PyDict>,
}

impl<'py> TableReader<'py> {
    fn read_table(
        &self,
        table: &DeTable<'_>,
        path: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let members = PyDict::new(path.py());
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let start = key.span().start;
            if !self.spoiled.contains(&start) {
                let inner = self.place(path, key.get_ref(), start)?;
                members.set_item(key.get_ref(), self.read_value(value.get_ref(), &inner)?)?;
            }
        }
        Ok(members)
    }

    fn read_value(
        &self,
        value: &DeValue<'_>,
        path: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = path.py();
        match value {
            DeValue::Boolean(boolean) => boolean.into_bound_py_any(py),
            DeValue::Integer(number) => reader::to_integer(number).into_bound_py_any(py),
            DeValue::Float(number) => reader::to_float(number).into_bound_py_any(py),
            DeValue::String(text) => text.into_bound_py_any(py),
            DeValue::Datetime(date) => date.to_string().into_bound_py_any(py), // spoiled
            DeValue::Table(table) => Ok(self.read_table(table, path)?.into_any()),
            DeValue::Array(items) => {
                let array = PyList::empty(py);
                for (at, item) in items.iter().enumerate() {
                    let inner = self.place(path, at, item.span().start)?;
                    array.append(self.read_value(item.get_ref(), &inner)?)?;
                }
                Ok(array.into_any())
            }
        }
    }

    /// The path of a member or an item, whose line is noted.
    fn place(
        &self,
        path: &Bound<'py, PyTuple>,
        name: impl IntoPyObject<'py>,
        start: usize,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let last = PyTuple::new(path.py(), [name])?;
        let inner = path.as_sequence().concat(last.as_sequence())?.to_tuple()?;
        self.places.set_item(&inner, self.lines.number(start))?;
        Ok(inner)
    }
}
