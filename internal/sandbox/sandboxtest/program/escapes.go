package main

func escapeDeeds() map[string]deed { return nil }
