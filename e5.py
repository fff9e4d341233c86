import numpy as np, pandas as pd
from pathlib import Path
from semisonic.data.fingerprints import *
from semisonic.audio.read import read
from scipy.signal import fftconvolve
from semisonic.data import sound_index as si
si.MIN_EVIDENCE=10
t=pd.read_csv('/work/shared/data/urbansound8k_part/metadata/UrbanSound8K.csv').set_index('slice_file_name')
def f(n): return Path(f'/work/shared/data/urbansound8k_part/audio/fold{t.loc[n].fold}/{n}')
for a,b in [('15544-5-0-0.ogg','15544-5-0-2.ogg'),('14387-9-0-11.ogg','14387-9-0-15.ogg'),('14470-2-0-65.ogg','14470-2-0-70.ogg'),('14387-9-0-15.ogg', '14387-9-0-16.ogg')]:
    x,y=read(f(a),sample_rate=8000)[0],read(f(b),sample_rate=8000)[0]
    c=fftconvolve(x,y[::-1]); k=np.abs(c).argmax()-len(y)+1
    i0,i1=max(0,k),min(len(x),len(y)+k)
    u,v=x[i0:i1],y[i0-k:i1-k]
    print(a,b,t.loc[a].start,t.loc[a].end,t.loc[b].start,t.loc[b].end,'lag',k/8000,'corr',np.corrcoef(u,v)[0,1], 'overlap', (i1-i0)/8000, end=' ')
    p,q=fingerprint([x]),fingerprint([y]); print(len(p),len(q), si.align(p,q,round(k/128))[0], si.align(p,q,round((t.loc[b].start-t.loc[a].start)/.016))[0], si.SoundIndex([p]).find(q))
