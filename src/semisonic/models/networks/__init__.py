"""models/networks"""
