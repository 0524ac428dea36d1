"""Assurance of the contracts: fuzzed invariants, proofs, static analysis, mutants, coverage and a gas snapshot."""
