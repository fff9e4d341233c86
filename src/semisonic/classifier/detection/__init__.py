"""classifier/detection"""
